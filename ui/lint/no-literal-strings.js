// Words belong into src/i18n/: no text with letters in markup, and none in the attributes that people see or hear.
const SPOKEN = /^(aria-(label|description|valuetext|roledescription|placeholder)|alt|label|placeholder|title|text)$/;
const WORD = /\p{L}{2,}/u;
const SILENT_PARENTS = new Set(["SvelteScriptElement", "SvelteStyleElement"]);
/** A string below one of these is compared, passed on or looked up, and not shown as it is. */
const HARMLESS = new Set(["BinaryExpression", "CallExpression", "MemberExpression", "ArrowFunctionExpression"]);

/** Whether the string in this expression ends up before somebody's eyes or ears. */
function isShown(node) {
  for (let above = node.parent; above; above = above.parent) {
    if (HARMLESS.has(above.type)) return false;
    if (above.type !== "SvelteMustacheTag") continue;
    const holder = above.parent;
    return holder.type === "SvelteElement" || (holder.type === "SvelteAttribute" && SPOKEN.test(holder.key.name));
  }
  return false;
}

export default {
  meta: { type: "problem", schema: [], messages: { literal: "A literal string: put it into src/i18n/." } },
  create(context) {
    const check = (node, text) => {
      if (typeof text === "string" && WORD.test(text)) context.report({ node, messageId: "literal" });
    };
    return {
      SvelteText(node) {
        if (!SILENT_PARENTS.has(node.parent.type)) check(node, node.value);
      },
      SvelteAttribute(node) {
        if (!SPOKEN.test(node.key.name)) return;
        for (const part of node.value) if (part.type === "SvelteLiteral") check(part, part.value);
      },
      "SvelteMustacheTag Literal"(node) {
        if (isShown(node)) check(node, node.value);
      },
      "SvelteMustacheTag TemplateElement"(node) {
        if (isShown(node)) check(node, node.value.cooked);
      },
    };
  },
};
