"use strict";
(() => {
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const area = document.getElementById("area");
  const shown = document.getElementById("shown");
  const expand = document.getElementById("expand");
  const none = document.getElementById("none");
  const groups = [...document.querySelectorAll("#results .group")];
  const results = [...document.querySelectorAll("#results .result")].map((card) => ({
    card,
    text: card.textContent.toLowerCase(),
  }));

  const visible = () => results.filter(({ card }) => !card.hidden);

  function label() {
    const cards = visible();
    expand.textContent = cards.length && cards.every(({ card }) => card.open) ? "Close all" : "Open all";
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set([...form.querySelectorAll("[name=outcome]:checked")].map((box) => box.value));
    for (const { card, text } of results) {
      card.hidden =
        (area.value !== "" && card.dataset.area !== area.value) ||
        (outcomes.size > 0 && !outcomes.has(card.dataset.outcome)) ||
        !words.every((word) => text.includes(word));
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".result:not([hidden])");
    }
    const count = visible().length;
    shown.textContent = `${count} of ${results.length} shown`;
    none.hidden = count > 0;
    label();
  }

  // A link from the matrix must reach its requirement whatever the filters hide.
  function reveal() {
    const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!card || !card.classList.contains("result")) return;
    if (card.hidden) {
      form.reset();
      filter();
    }
    card.open = true;
    card.scrollIntoView();
    card.querySelector("summary").focus({ preventScroll: true });
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Without the clipboard's permission the text is selected, ready for the keyboard.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  expand.addEventListener("click", () => {
    const open = !visible().every(({ card }) => card.open);
    for (const { card } of visible()) card.open = open;
    label();
  });
  // A click on the link of the present hash is no change of it.
  addEventListener("click", ({ target }) => {
    if (target.closest("a[href^='#r-']")) setTimeout(reveal);
  });
  addEventListener("hashchange", reveal);
  form.hidden = results.length === 0;
  filter();
  if (location.hash) reveal();
})();
