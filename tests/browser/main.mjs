// All browser tests in one process, so that one Chromium does.
import "./client.mjs";
import "./npm.mjs";
import "./pace.mjs";
import "./seed.mjs";
import "./snippets.mjs";
import "./tabs.mjs";
import "./uploads.mjs";
