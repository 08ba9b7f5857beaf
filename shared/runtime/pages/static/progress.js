// Follows work that goes on: asks its progress every second, and loads the page again when its phase has changed.
// Without this script the page is loaded again every two seconds.
"use strict";
const work = document.querySelector("[data-progress]");
const bar = document.getElementById("progress");
const text = document.getElementById("progress-text");
// What a screen reader reads aloud whenever it changes.
const aloud = document.getElementById("progress-told");
let told = Number(bar.value);

async function look() {
  try {
    const answer = await fetch(work.dataset.progress, { headers: { Accept: "application/json" }, redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const now = await answer.json();
    if (now.phase !== work.dataset.phase) {
      location.reload();
      return;
    }
    bar.value = now.percent;
    text.textContent = now.text;
    if (now.percent >= told + 10) {
      told = now.percent;
      aloud.textContent = now.text;
    }
  } catch (error) {
    text.textContent = "The node does not answer. What goes on there is not known; this page keeps asking.";
    if (told > -10) aloud.textContent = text.textContent;
    told = -10;
  }
  setTimeout(look, 1000);
}

setTimeout(look, 500);
