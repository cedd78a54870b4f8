// The page: shows the view that the address names.

import { all } from "./all.js";
import { $, address, link, refused, trouble } from "./shell.js";
import { uploads } from "./uploads.js";

const views = { uploads, all };
let shown = null;

function route() {
  link();
  const { view } = address;
  if (view !== shown) {
    if (shown) views[shown].hide();
    shown = view;
    for (const name of Object.keys(views)) {
      $(name).hidden = name !== view;
      $(`to-${name}`).ariaCurrent = name === view ? "page" : null;
    }
    refused(view);
    trouble();
    views[view].show();
  }
  uploads.follow(address.jobs);
}

// As a cookie, the token is in no address, and EventSource sends it.
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const path = new URL(".", location).pathname;
  document.cookie = `landfall_token=${$("token").value.trim()}; Path=${path}; SameSite=Strict${secure}`;
  $("token").value = "";
  views[shown].reopen();
});
addEventListener("hashchange", route);
route();
