// A click on the head of a column sorts its table: as numbers where all cells begin with one.
// A link to something folded, or to a row of a table in it, unfolds it.
const unfold = () => {
  const goal = document.getElementById(location.hash.slice(1));
  const around = goal && goal.closest("details");
  if (around) {
    around.open = true;
    goal.scrollIntoView({ block: goal === around ? "start" : "center" });
  }
};
addEventListener("hashchange", unfold);
addEventListener("load", unfold);

document.addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll(".sfc-table thead th")) {
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    const sort = () => {
      const body = head.closest("table").tBodies[0];
      const place = head.cellIndex;
      const up = head.getAttribute("aria-sort") !== "ascending";
      const text = (row) => row.cells[place].textContent.trim();
      const number = (row) => parseFloat(text(row).replaceAll("−", "-").replace(/^[^\d.+-]+|,/g, ""));
      const rows = [...body.rows];
      const numeric = rows.every((row) => text(row) === "–" || !isNaN(number(row)));
      const key = (row) => (numeric ? (isNaN(number(row)) ? -Infinity : number(row)) : text(row));
      rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (up ? 1 : -1));
      body.append(...rows);
      for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  }
});

// What scrolls sideways can be reached, and scrolled, by the keyboard.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("div.cell_output, div.cell_output > .output")) {
    if (box.querySelector("img.sfc-wide")) box.tabIndex = 0;
  }
});
