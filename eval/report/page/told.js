// The data of the report, as eval/report/told.py made it.

const told = JSON.parse(document.getElementById("told").textContent);
