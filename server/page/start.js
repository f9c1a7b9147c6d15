// The page draws itself, and again whenever its address changes.

obeyKeys(KEYS, viewOf);
addEventListener("hashchange", show);
show();
