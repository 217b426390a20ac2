import type { Language } from "../../host";

export const TEMPLATES = ["office", "vacation", "hours", "busy"] as const;
export type Template = (typeof TEMPLATES)[number];

export interface Known {
  name: string;
  company: string;
}

type Write = (known: Known) => string;

const at = (company: string, before: string) => (company === "" ? "" : `${before}${company}`);

/** What is said, in the language that it is said in: whoever works in German may greet in English. */
const ENGLISH: Record<Template, Write> = {
  office: ({ name, company }) =>
    `Hello, you have reached ${name}${at(company, " at ")}. I can’t come to the phone right now. I am here Monday to Friday, nine to five. Please leave a message with your name and number, and I will call you back the same day. You can also write me an e-mail. Thank you for calling.`,
  vacation: ({ name, company }) =>
    `Hello, you have reached ${name}${at(company, " at ")}. I am on vacation and back on Monday. Our office is open Monday to Friday, nine to five. For anything urgent please write an e-mail, and a colleague will take care of it. Or leave a message after the tone. Thank you for calling.`,
  hours: ({ name, company }) =>
    `Hello, you have reached ${name}${at(company, " at ")}. We have closed for today. We are here Monday to Friday, nine to five. Please leave your name, your number and what it is about after the tone, and we will get back to you on the next working day. Or send us an e-mail. Thank you for calling.`,
  busy: ({ name, company }) =>
    `Hello, this is ${name}${at(company, " at ")}. I am in another call right now. My hours are Monday to Friday, nine to five. Please leave a message with your name and number, and I will call you back within the hour. You can also write me an e-mail. Thank you for your patience.`,
};

const GERMAN: Record<Template, Write> = {
  office: ({ name, company }) =>
    `Guten Tag, Sie haben ${name}${at(company, " bei ")} erreicht. Im Moment kann ich nicht ans Telefon kommen. Sie erreichen mich Montag bis Freitag von neun bis siebzehn Uhr. Bitte hinterlassen Sie Ihren Namen und Ihre Nummer, ich rufe Sie noch am selben Tag zurück. Sie können mir auch eine E-Mail schreiben. Vielen Dank für Ihren Anruf.`,
  vacation: ({ name, company }) =>
    `Guten Tag, Sie haben ${name}${at(company, " bei ")} erreicht. Ich bin im Urlaub und ab Montag zurück. Unser Büro ist Montag bis Freitag von neun bis siebzehn Uhr besetzt. In dringenden Fällen schreiben Sie bitte eine E-Mail, eine Kollegin kümmert sich darum. Oder hinterlassen Sie eine Nachricht nach dem Ton. Vielen Dank für Ihren Anruf.`,
  hours: ({ name, company }) =>
    `Guten Tag, Sie haben ${name}${at(company, " bei ")} erreicht. Wir haben für heute geschlossen. Sie erreichen uns Montag bis Freitag von neun bis siebzehn Uhr. Bitte hinterlassen Sie Namen, Nummer und Ihr Anliegen nach dem Ton, wir melden uns am nächsten Werktag. Oder schreiben Sie uns eine E-Mail. Vielen Dank für Ihren Anruf.`,
  busy: ({ name, company }) =>
    `Guten Tag, hier ist ${name}${at(company, " von ")}. Ich bin gerade in einem anderen Gespräch. Sie erreichen mich Montag bis Freitag von neun bis siebzehn Uhr. Bitte hinterlassen Sie Ihren Namen und Ihre Nummer, ich rufe Sie innerhalb einer Stunde zurück. Sie können mir auch eine E-Mail schreiben. Vielen Dank für Ihre Geduld.`,
};

export function filled(template: Template, language: Language, known: Known): string {
  const trimmed = { name: known.name.trim(), company: known.company.trim() };
  return (language === "de" ? GERMAN : ENGLISH)[template](trimmed);
}
