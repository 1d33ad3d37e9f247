// What the pages do beyond HTML. Without this file everything still works; it adds the warning before sign-out, saves a
// begun note before that happens, guards unsaved forms, and makes menus and the calendar reachable by keyboard.
"use strict";

// Forms that submit themselves, buttons that print, deeds that want a second thought.
document.addEventListener("change", (e) => {
  if (e.target.matches("[data-submit]")) e.target.form.requestSubmit();
});
document.addEventListener("click", (e) => {
  const button = e.target.closest("[data-print]");
  if (button) window.print();
  const sure = e.target.closest("[data-confirm]");
  if (sure && !window.confirm(sure.dataset.confirm)) e.preventDefault();
});

// Unsaved work.
let dirty = null;
document.addEventListener("input", (e) => {
  const form = e.target.closest("form[data-guard]");
  if (form && e.target.type !== "search") dirty = form;
  touched();
});
document.addEventListener("submit", (e) => {
  if (e.defaultPrevented) return;
  if (e.target === dirty) dirty = null;
});
window.addEventListener("beforeunload", (e) => {
  if (dirty) e.preventDefault();
});

// The session ends after a time without a deed. Typing is a deed, and so is the button of the warning.
const idle = Number(document.body.dataset.idle || 0) * 1000;
const warning = 60 * 1000;
let last = Date.now();
let told = Date.now();
async function stay() {
  last = told = Date.now();
  const answer = await fetch("/stay", { method: "POST" });
  if (answer.status === 401) location.reload();
}
function touched() {
  if (!idle) return;
  last = Date.now();
  if (last - told > Math.min(120 * 1000, idle / 4)) stay();
}
async function leave() {
  const draft = document.querySelector("form[data-draft]");
  if (draft && draft === dirty) {
    dirty = null;
    const answer = await fetch(draft.action, { method: "POST", body: new URLSearchParams(new FormData(draft)), redirect: "manual" });
    if (answer.type !== "opaqueredirect") return location.reload();
  }
  dirty = null;
  document.getElementById("idle-out").submit();
}
if (idle) {
  const dialog = document.getElementById("idle");
  const seconds = document.getElementById("idle-seconds");
  document.getElementById("idle-stay").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stay);
  const tick = setInterval(() => {
    const left = idle - (Date.now() - last) - 5000; // a little earlier than the server
    if (left > warning) {
      if (dialog.open) dialog.close();
      return;
    }
    seconds.textContent = String(Math.max(0, Math.ceil(left / 1000)));
    if (!dialog.open) dialog.showModal();
    if (left <= 0) {
      clearInterval(tick);
      leave();
    }
  }, 1000);
  document.addEventListener("htmx:after:request", () => { last = told = Date.now(); });
}

// The menu of a row: right click, Shift+F10 or a long press.
const menu = document.getElementById("row-menu");
if (menu) {
  document.addEventListener("contextmenu", (e) => {
    const row = e.target.closest("[data-row]");
    if (!row) return;
    e.preventDefault();
    for (const item of menu.querySelectorAll("[data-path]")) {
      item.href = item.dataset.path.replace("{id}", row.dataset.row);
      item.hidden = Boolean(item.dataset.needs) && row.dataset.may !== item.dataset.needs;
    }
    menu.showPopover();
    const from = row.getBoundingClientRect();
    const x = e.clientX || from.left + 40;
    const y = e.clientY || from.bottom;
    menu.style.left = Math.min(x, innerWidth - menu.offsetWidth - 8) + "px";
    menu.style.top = Math.min(y, innerHeight - menu.offsetHeight - 8) + "px";
    menu.querySelector("[data-path]:not([hidden])").focus();
  });
  menu.addEventListener("keydown", (e) => {
    const items = [...menu.querySelectorAll("[data-path]:not([hidden])")];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    items[(to + items.length) % items.length].focus();
  });
}

// The calendar by keyboard: one free half hour takes the focus, arrow keys move it.
const slots = new Map([...document.querySelectorAll("[data-at]")].map((s) => [s.dataset.at, s]));
if (slots.size) {
  slots.values().next().value.tabIndex = 0;
  document.querySelector(".calendar").addEventListener("keydown", (e) => {
    const at = e.target.dataset.at;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[e.key];
    if (!at || !step) return;
    const [column, row] = at.split(".").map(Number);
    const to = slots.get(`${column + step[0]}.${row + step[1]}`);
    if (!to) return;
    e.preventDefault();
    e.target.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
}
const now = document.querySelector(".now");
const frame = document.querySelector(".calendar-frame");
if (now && frame) frame.scrollTop = Math.max(0, now.offsetTop - frame.clientHeight / 2);
