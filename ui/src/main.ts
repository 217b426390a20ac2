import "@fontsource-variable/inter";
import "./theme/tokens.css";
import "./theme/base.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { chooseHost } from "./host";
import { followSystem } from "./theme/theme.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("the page has no #app");

followSystem();
mount(App, { target, props: { host: await chooseHost() } });
