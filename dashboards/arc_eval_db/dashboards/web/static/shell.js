// What every page has: how figures and times are written, the theme, and the keyboard.
"use strict";

(() => {
  const number = (digits) => new Intl.NumberFormat("en-US", { maximumFractionDigits: digits });
  const whole = number(0);
  const plain = (value) => (Math.abs(value) >= 100 ? whole : number(Math.abs(value) >= 1 ? 2 : 4)).format(value);

  function seconds(value) {
    if (value < 0.001 && value > 0) return `${plain(value * 1e6)} µs`;
    if (value < 1 && value > 0) return `${plain(value * 1000)} ms`;
    if (value < 120) return `${number(1).format(value)} s`;
    if (value < 7200) return `${number(1).format(value / 60)} min`;
    if (value < 172800) return `${number(1).format(value / 3600)} h`;
    return `${number(1).format(value / 86400)} d`;
  }

  const formats = {
    count: (value) => whole.format(value),
    number: plain,
    rate: (value) => `${plain(value)}/s`,
    seconds,
    milliseconds: (value) => seconds(value / 1000),
    percent: (value) => `${number(1).format(value * 100)} %`,
    usd: (value) => `$${plain(value)}`,
    bytes: (value) => {
      const power = value < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
      return `${number(1).format(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
    },
  };

  const two = (value) => String(value).padStart(2, "0");

  // 2026-11-26 05:40:12Z; the day is left out where it is today's.
  function moment(ms, { day = "auto", millis = false } = {}) {
    const at = new Date(ms);
    const date = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    let time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
    if (millis) time += `.${String(at.getUTCMilliseconds()).padStart(3, "0")}`;
    const isToday = date === new Date().toISOString().slice(0, 10);
    return day === "always" || !isToday ? `${date} ${time}Z` : `${time}Z`;
  }

  function ago(ms) {
    const past = (Date.now() - ms) / 1000;
    if (Math.abs(past) < 2) return "now";
    const steps = [[86400 * 2, 86400, "d"], [7200, 3600, "h"], [120, 60, "min"], [0, 1, "s"]];
    const [, unit, name] = steps.find(([from]) => Math.abs(past) >= from);
    const text = `${Math.floor(Math.abs(past) / unit)} ${name}`;
    return past < 0 ? `in ${text}` : `${text} ago`;
  }

  globalThis.arc = { formats, moment, ago };

  // The theme: what the system says, or what was chosen here, kept in a cookie so that the server knows it too.
  const THEMES = ["auto", "light", "dark"];
  const theme = () => document.cookie.match(/(?:^|; )arc_eval_theme=(light|dark)/)?.[1] ?? "auto";

  function chooseTheme(chosen) {
    const age = chosen === "auto" ? 0 : 31536000;
    document.cookie = `arc_eval_theme=${chosen}; Path=/; Max-Age=${age}; SameSite=Strict`;
    setDark(chosen === "auto" ? null : chosen === "dark");
    showTheme();
  }

  function showTheme() {
    const button = document.querySelector("[data-theme-switch]");
    if (button === null) return;
    button.textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[theme()];
  }

  const nextTheme = () => chooseTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);

  // The keyboard: g and a letter go to a page, / searches, t changes the theme, ? explains.
  let afterG = 0;

  function help() {
    let dialog = document.getElementById("keyboard-help");
    if (dialog === null) {
      dialog = document.createElement("dialog");
      dialog.id = "keyboard-help";
      dialog.className = "dialog";
      dialog.setAttribute("aria-labelledby", "keyboard-help-title");
      const title = Object.assign(document.createElement("h2"), { id: "keyboard-help-title", textContent: "Keyboard" });
      const list = document.createElement("dl");
      const entries = [...document.querySelectorAll("nav a[data-key]")].map((a) => [`g ${a.dataset.key}`, a.textContent]);
      for (const [keys, text] of [...entries, ["/", "Search on this page"], ["t", "Theme"], ["?", "This help"]]) {
        const dt = document.createElement("dt");
        dt.append(...keys.split(" ").map((key) => Object.assign(document.createElement("kbd"), { textContent: key })));
        list.append(dt, Object.assign(document.createElement("dd"), { textContent: text }));
      }
      const close = Object.assign(document.createElement("button"), { textContent: "Close", type: "button" });
      close.addEventListener("click", () => dialog.close());
      dialog.append(title, list, close);
      document.body.append(dialog);
    }
    dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey || inField || document.querySelector("dialog[open]")) return;
    if (Date.now() - afterG < 1500) {
      afterG = 0;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link !== null) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    if (event.key === "g") afterG = Date.now();
    else if (event.key === "t") nextTheme();
    else if (event.key === "?") help();
    else if (event.key === "/") {
      const field = document.querySelector("[data-search]");
      if (field !== null) {
        event.preventDefault();
        field.focus();
      }
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-theme-switch]")) nextTheme();
    if (event.target.closest?.("[data-keyboard-help]")) help();
  });

  // A filter that is chosen is applied at once; empty ones are left out of the address.
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("form[data-filters] select")) event.target.form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches?.("form[data-filters]")) return;
    for (const field of event.target.elements) if (field.name && field.value === "") field.disabled = true;
  });
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("form[data-filters] :disabled")) field.disabled = false;
  });

  const watcher = new MutationObserver(showTheme);
  addEventListener("DOMContentLoaded", () => watcher.observe(document.body, { childList: true, subtree: true }));
  addEventListener("load", () => { watcher.disconnect(); showTheme(); });
})();
