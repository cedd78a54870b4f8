// All browser tests in one process, so that one Chromium does.
import "./client.mjs";
import "./tabs.mjs";
