// What the pages do better with a script. Without it they work by forms and links alone.
"use strict";

(() => {
	const byID = (id) => document.getElementById(id);

	// ---- a game: follow its events, send moves without loading the page ----

	const game = byID("game");
	const table = byID("table");
	const title = document.title;
	let source = null;
	let retry = 0;
	let clockEnd = 0;

	const state = () => table.querySelector(".play").dataset;

	// show puts a newer state of the game in place of the one that is shown, and keeps what the
	// player was doing: the focus, and a name half typed.
	function show(fragment) {
		const next = document.createElement("div");
		next.innerHTML = fragment;
		const fresh = next.querySelector(".play");
		const old = state();
		if (!fresh || BigInt(fresh.dataset.position) <= BigInt(old.position)) return;
		const focus = document.activeElement && table.contains(document.activeElement) ? document.activeElement.id : "";
		const typed = byID("name") && byID("name").value;
		const moved = fresh.dataset.moves !== old.moves;
		table.replaceChildren(...next.childNodes);
		table.classList.toggle("fresh", moved);
		if (typed && byID("name")) byID("name").value = typed;
		if (focus) lastFocus = focus;
		restoreFocus();
		const now = state();
		const status = byID("status");
		if (status.textContent !== now.status) status.textContent = now.status;
		status.className = "status " + now.tone;
		setTitle();
		enhance();
	}

	let lastFocus = "";

	// restoreFocus gives the focus back to where it was, once that is there again: the columns go
	// while the other side is to move.
	function restoreFocus() {
		const to = lastFocus && byID(lastFocus);
		if (!to || to.disabled) return;
		if (document.activeElement === document.body || !document.activeElement) to.focus({ preventScroll: true });
	}

	function setTitle() {
		const now = state();
		document.title = (now.tone === "turn" ? "● " : "") + title.replace(/^● /, "");
	}

	// enhance readies what only works with a script.
	function enhance() {
		for (const button of document.querySelectorAll("[data-copy]")) {
			button.hidden = !navigator.clipboard;
		}
		const clock = document.querySelector(".clock");
		clockEnd = clock ? performance.now() + Number(clock.dataset.left) : 0;
		tick();
	}

	function tick() {
		const clock = document.querySelector(".clock");
		if (!clock || !clockEnd) return;
		const left = Math.max(0, Math.ceil((clockEnd - performance.now()) / 1000));
		const two = (n) => String(n).padStart(2, "0");
		const text = left >= 3600
			? Math.floor(left / 3600) + ":" + two(Math.floor(left / 60) % 60) + ":" + two(left % 60)
			: Math.floor(left / 60) + ":" + two(left % 60);
		if (clock.textContent !== text) clock.textContent = text;
		clock.classList.toggle("short", left <= 10);
	}

	// follow holds the stream of the game's events. The browser resumes it by itself; only when
	// the server answered with an error must a new one be made, ever more patiently.
	function follow() {
		if (source || game.dataset.live !== "true") return;
		source = new EventSource(game.dataset.events + "?after=" + state().position);
		source.addEventListener("open", () => { retry = 0; warn("lost", ""); });
		source.addEventListener("game", (e) => show(e.data));
		source.addEventListener("end", () => { game.dataset.live = "false"; unfollow(); });
		source.addEventListener("error", () => {
			if (!source || source.readyState !== EventSource.CLOSED) return;
			unfollow();
			retry = Math.min(retry ? retry * 2 : 1000, 30000);
			warn("lost", "The connection to the game is lost. Trying again…");
			setTimeout(follow, retry);
		});
	}

	function unfollow() {
		if (source) source.close();
		source = null;
	}

	// warn says what went wrong above the board; the same kind's next word replaces it.
	function warn(kind, text) {
		const alert = byID("alert");
		if (!text && alert.dataset.kind !== kind) return;
		alert.dataset.kind = kind;
		alert.textContent = text;
		alert.hidden = !text;
	}

	// send posts a move in the background. The answer is the page that the form would have led to.
	async function send(form, button) {
		const body = new URLSearchParams(new FormData(form));
		if (button && button.name) body.set(button.name, button.value);
		form.dataset.sending = "true";
		try {
			const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			if (answer.ok) {
				warn("move", "");
				const fragment = page.getElementById("table");
				if (fragment) show(fragment.innerHTML);
			} else {
				const problem = page.querySelector("#problem");
				const text = (selector) => (problem && problem.querySelector(selector) || { textContent: "" }).textContent;
				warn("move", (text("h1") + " " + text(".advice")).trim() || "The move was not taken. Load the page again.");
			}
		} catch {
			warn("move", "The move could not be sent. Try again.");
		} finally {
			delete form.dataset.sending;
		}
	}

	if (game) {
		document.addEventListener("submit", (e) => {
			const form = e.target;
			if (!form.matches(".drops")) return;
			e.preventDefault();
			if (!form.dataset.sending) send(form, e.submitter);
		});
		addEventListener("pagehide", unfollow);
		addEventListener("pageshow", (e) => { if (e.persisted) follow(); });
		setInterval(tick, 250);
		setTitle();
		enhance();
		follow();
	}

	document.addEventListener("click", async (e) => {
		const button = e.target.closest("[data-copy]");
		if (!button) return;
		const field = byID(button.dataset.copy);
		try {
			await navigator.clipboard.writeText(field.value);
			button.textContent = "Copied";
		} catch {
			field.focus();
			field.select();
		}
	});

	// ---- keys: 1 to 7 and the arrows on a board, arrows, Home and End in a replay ----

	document.addEventListener("keydown", (e) => {
		if (e.ctrlKey || e.altKey || e.metaKey || e.target.closest("input, select, textarea")) return;
		const step = document.querySelector(`.steps a[data-key="${CSS.escape(e.key)}"]`);
		if (step) {
			e.preventDefault();
			step.click();
			return;
		}
		const columns = [...document.querySelectorAll(".drop:not(:disabled)")];
		if (!columns.length) return;
		if (/^[1-7]$/.test(e.key)) {
			const column = columns.find((c) => c.value === e.key);
			if (column) {
				column.focus();
				column.click();
			}
			return;
		}
		const at = columns.indexOf(document.activeElement);
		const go = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
		if (go) {
			e.preventDefault();
			const next = at < 0 ? Math.floor(columns.length / 2) : (at + go + columns.length) % columns.length;
			columns[next].focus();
		} else if (e.key === "ArrowDown" && at >= 0) {
			e.preventDefault();
			columns[at].click();
		}
	});

	// ---- the lobby: look for new games while somebody looks at it ----

	const tables = byID("tables");
	if (tables && tables.dataset.fresh) {
		let wait = 4000;
		const look = async () => {
			if (!document.hidden && !tables.contains(document.activeElement)) {
				try {
					const answer = await fetch(tables.dataset.fresh, { headers: { Accept: "text/html" } });
					const page = new DOMParser().parseFromString(await answer.text(), "text/html");
					const fresh = page.getElementById("tables");
					if (!answer.ok || !fresh) throw new Error("no lobby");
					if (fresh.innerHTML !== tables.innerHTML) tables.innerHTML = fresh.innerHTML;
					wait = 4000;
				} catch {
					wait = Math.min(wait * 2, 60000);
				}
			}
			setTimeout(look, wait);
		};
		setTimeout(look, wait);
	}
})();
