import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

import noLiteralStrings from "./lint/no-literal-strings.js";
import svelteConfig from "./svelte.config.js";

const features = ["account", "calls", "contacts", "greetings", "mailbox", "settings", "setup"];
const wall = (files, patterns) => ({ files, rules: { "no-restricted-imports": ["error", { patterns }] } });
const tauri = { group: ["@tauri-apps/*"], message: "Only src/host/ knows Tauri." };

export default ts.config(
  { ignores: ["dist/", "node_modules/", "src/host/generated/"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: {
      "no-undef": "off",
      "@typescript-eslint/consistent-type-imports": "error",
      eqeqeq: "error",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  {
    files: ["src/**/*.svelte"],
    ignores: ["src/test/**"],
    plugins: { aftertone: { rules: { "no-literal-strings": noLiteralStrings } } },
    rules: { "aftertone/no-literal-strings": "error", "svelte/no-at-html-tags": "error" },
  },
  wall(["src/**"], [tauri]),
  ...features.map((feature) =>
    wall(
      [`src/features/${feature}/**`],
      [
        tauri,
        {
          group: features.filter((other) => other !== feature).map((other) => `**/${other}/**`),
          message: "Features never import each other; what they share lives in src/kit/.",
        },
        { group: ["**/app/**"], message: "Features know nothing of the frame around them." },
      ],
    ),
  ),
  wall(
    ["src/kit/**"],
    [tauri, { group: ["**/features/**", "**/app/**"], message: "The kit imports no feature." }],
  ),
  wall(
    ["src/i18n/**", "src/theme/**"],
    [tauri, { group: ["**/features/**", "**/app/**", "**/kit/**"], message: "Words and colours stand below everything." }],
  ),
  { files: ["src/host/**"], rules: { "no-restricted-imports": "off" } },
  { files: ["lint/**", "*.config.*", "public/**"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
);
