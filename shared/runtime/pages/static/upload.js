// Says that a file is too large before it is sent, and that it is being sent. The node checks both without this script.
"use strict";
for (const form of document.querySelectorAll("form[data-upload]")) {
  const file = form.querySelector("input[name=file]");
  const most = Number(form.dataset.maxBytes);
  file.addEventListener("change", () => {
    const large = file.files.length > 0 && file.files[0].size > most;
    file.setCustomValidity(large ? `The file has more than ${Math.floor(most / 1048576)} MiB.` : "");
    file.reportValidity();
  });
  form.addEventListener("submit", () => {
    document.getElementById("upload-text").textContent = "The file is being sent and read.";
    form.querySelector("button").disabled = true;
  });
}
// Back in the browser shows the page as it was left.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-upload] button")) button.disabled = false;
});
