"use strict";
// One file at a time: sent as it is, followed by server-sent events, shown beside its timeline.

const TEXTS = {
  en: {
    lead: "Looks for face forgeries in a video or a picture. A verdict is no proof.",
    send: "Send a file", drop: "Drop a video or a picture here, or choose one",
    kinds: "It is deleted from the server as soon as it is judged.", token: "Token",
    sending: "Sending", waiting: "Waiting; jobs before it:", running: "Judging, seconds so far:",
    real: "REAL", fake: "FAKE", uncertain: "UNCERTAIN", cannot_tell: "CANNOT TELL",
    means_real: "No sign of forgery was found; that is no proof that there is none.",
    means_fake: "The score is above the threshold.", threshold: "threshold",
    curve: "P(fake) over time. Dashed: the threshold. Click, or use the arrow keys, to see the moment.",
    face: "Face", from: "From, s", to: "To, s", report: "Open the report", delete: "Delete",
    deleted: "Deleted.", failed: "It could not be sent:", refused: "The server refused it:", lost: "The server does not answer.",
    moment: "Moment in seconds",
  },
  ko: {
    lead: "영상이나 사진에서 얼굴 위조의 흔적을 찾습니다. 판정은 증거가 아닙니다.",
    send: "파일 보내기", drop: "영상이나 사진을 여기에 놓거나 선택하세요",
    kinds: "판정이 끝나면 서버에서 바로 삭제됩니다.", token: "토큰",
    sending: "보내는 중", waiting: "대기 중, 앞선 작업:", running: "판정 중, 지난 시간(초):",
    real: "진짜", fake: "가짜", uncertain: "불확실", cannot_tell: "판정 불가",
    means_real: "위조의 흔적을 찾지 못했습니다. 위조가 없다는 증거는 아닙니다.",
    means_fake: "점수가 기준값보다 높습니다.", threshold: "기준값",
    curve: "시간에 따른 P(fake). 점선은 기준값. 누르거나 화살표 키로 그 순간을 볼 수 있습니다.",
    face: "얼굴", from: "시작(초)", to: "끝(초)", report: "보고서 열기", delete: "삭제",
    deleted: "삭제했습니다.", failed: "보내지 못했습니다:", refused: "서버가 거절했습니다:", lost: "서버가 응답하지 않습니다.",
    moment: "순간(초)",
  },
};
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let language = navigator.language.startsWith("ko") ? "ko" : "en";
let job = null; // the last answer of the server
let shownUrl = null; // of the file, for the player

const say = (name) => TEXTS[language][name];

function speak() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((e) => { e.textContent = say(e.dataset.text); });
  $("language").textContent = language === "ko" ? "English" : "한국어";
  $("language").lang = language === "ko" ? "en" : "ko";
  $("curve").setAttribute("aria-label", say("moment"));
  if (job) show(job);
}

function headers() {
  const token = $("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function send(file) {
  job = null;
  $("job").hidden = false;
  $("result").hidden = true;
  $("job-title").textContent = file.name;
  $("bar").hidden = false;
  $("progress").textContent = say("sending");
  play(file);
  let answer;
  try {
    answer = await fetch(`v1/media?name=${encodeURIComponent(file.name)}`, { method: "PUT", body: file, headers: headers() });
  } catch (error) {
    return stop(`${say("failed")} ${error.message}`);
  }
  if (!answer.ok) {
    if (answer.status === 401) { $("token-line").hidden = false; $("token").focus(); }
    const told = await answer.json().catch(() => ({}));
    return stop(`${say("refused")} ${typeof told.detail === "string" ? told.detail : answer.status}`);
  }
  follow((await answer.json()).id);
}

function stop(text) {
  $("bar").hidden = true;
  $("progress").textContent = text;
}

function follow(id) {
  const events = new EventSource(`v1/jobs/${id}/events`);
  events.onmessage = (event) => {
    job = JSON.parse(event.data);
    if (job.state === "done") events.close();
    show(job);
  };
  events.onerror = () => {
    if (!job || job.state !== "done") stop(say("lost"));
    events.close();
  };
}

function show(answer) {
  if (answer.state !== "done") {
    const number = answer.state === "waiting" ? answer.jobs_before : Math.round(answer.seconds);
    $("progress").textContent = answer.state === "receiving" ? say("sending") : `${say(answer.state)} ${number}`;
    return;
  }
  const verdict = answer.verdict;
  stop("");
  $("result").hidden = false;
  $("verdict").textContent = say(verdict.decision) + (verdict.probability === null ? ""
    : ` · P(fake) ${verdict.probability.toFixed(3)} (${say("threshold")} ${verdict.threshold.toFixed(3)})`);
  $("verdict").className = `verdict ${verdict.decision}`;
  $("meaning").textContent = verdict.reason || say(`means_${verdict.decision}`);
  $("warnings").replaceChildren(...[...verdict.warnings, ...verdict.skipped].map((note) => {
    const line = document.createElement("li");
    line.textContent = note.message;
    return line;
  }));
  $("faces").hidden = verdict.tracks.length === 0;
  $("faces").tBodies[0].replaceChildren(...verdict.tracks.map((face) => {
    const row = document.createElement("tr");
    for (const text of [face.track, face.probability.toFixed(3), face.start_seconds.toFixed(2), face.end_seconds.toFixed(2)]) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
  draw(verdict);
  $("report").href = `v1/jobs/${answer.id}/report`;
}

function length(verdict) {
  return Math.max(0.04, ...verdict.windows.map((w) => w.end_seconds));
}

function line(kind, points) {
  const element = document.createElementNS(SVG, "polyline");
  element.setAttribute("class", kind);
  element.setAttribute("points", points.map(([x, y]) => `${x},${y}`).join(" "));
  return element;
}

function draw(verdict) {
  $("timeline").hidden = verdict.windows.length < 2;
  if ($("timeline").hidden) return;
  const end = length(verdict);
  const place = (seconds, p) => [(1000 * seconds) / end, 190 - 180 * p];
  const faces = [...new Set(verdict.windows.map((w) => w.track))];
  const lines = faces.map((face) => line("line", verdict.windows.filter((w) => w.track === face)
    .map((w) => place((w.start_seconds + w.end_seconds) / 2, w.probability))));
  lines.push(line("threshold", [place(0, verdict.threshold), place(end, verdict.threshold)]));
  const now = line("now", [place(0, 0), place(0, 1)]);
  now.id = "now";
  $("curve").replaceChildren(...lines, now);
  $("curve").setAttribute("aria-valuemax", end.toFixed(2));
  moved();
}

function moved() {
  const now = document.getElementById("now");
  if (!now || !job || !job.verdict) return;
  const seconds = $("video").currentTime || 0;
  const x = Math.min(1000, (1000 * seconds) / length(job.verdict));
  now.setAttribute("points", `${x},10 ${x},190`);
  $("curve").setAttribute("aria-valuenow", seconds.toFixed(2));
}

function play(file) {
  if (shownUrl) URL.revokeObjectURL(shownUrl);
  shownUrl = URL.createObjectURL(file);
  const isPicture = file.type.startsWith("image/");
  $("video").hidden = isPicture;
  $("picture").hidden = !isPicture;
  if (isPicture) { $("video").removeAttribute("src"); $("picture").src = shownUrl; } else $("video").src = shownUrl;
}

function seek(seconds) {
  $("video").currentTime = Math.max(0, seconds);
  moved();
}

$("file").addEventListener("change", (event) => { if (event.target.files[0]) send(event.target.files[0]); });
$("drop").addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
});
$("curve").addEventListener("click", (event) => {
  const box = $("curve").getBoundingClientRect();
  seek((length(job.verdict) * (event.clientX - box.left)) / box.width);
});
$("curve").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 0.2, ArrowLeft: -0.2, PageUp: 2, PageDown: -2 }[event.key];
  if (step) { event.preventDefault(); seek($("video").currentTime + step); }
});
$("video").addEventListener("timeupdate", moved);
$("language").addEventListener("click", () => { language = language === "ko" ? "en" : "ko"; speak(); });
$("delete").addEventListener("click", async () => {
  await fetch(`v1/jobs/${job.id}`, { method: "DELETE", headers: headers() });
  $("result").hidden = true;
  job = null;
  stop(say("deleted"));
});
speak();
