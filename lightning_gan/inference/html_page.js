// Shows one picture of a series at a time. Without it, all pictures stand beside each other.
for (const series of document.querySelectorAll(".series")) {
  const figures = [...series.querySelectorAll("figure")];
  const slider = series.querySelector(".slider");
  const input = slider.querySelector("input");
  const choose = () => {
    figures.forEach((figure, place) => { figure.hidden = place !== Number(input.value); });
    slider.querySelector("output").textContent = figures[input.value].dataset.name;
    input.setAttribute("aria-valuetext", figures[input.value].dataset.name);
  };
  input.addEventListener("input", choose);
  series.querySelector(".pictures").classList.add("chosen");
  slider.hidden = false;
  choose();
}
