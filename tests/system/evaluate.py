#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what evaluate.sh has made in the working folder."""
import json
import re
import sys

bad = []


def check(what, good):
    if not good:
        bad.append(what)


def load(name):
    with open(f"{name}.json", encoding="utf-8") as file:
        return json.load(file)


def row(result, method, n=0, condition=""):
    for one in result["results"]:
        if (one["method"], one["trials_per_target"], one["condition"]) == (method, n, condition):
            return one
    raise SystemExit(f"no row {method} {n} {condition}")


def rmse(result, method, n=0, condition=""):
    return row(result, method, n, condition)["rmse"]["value"]


for name in "curve", "aligned":
    curve = load(name)
    check(f"{name}: seeds", curve["seeds"] == [1, 2])
    for n in 1, 3:
        one = row(curve, "default", n)
        check(f"{name}: {n} draws", len(one["rmse_by_draw"]) == 2)
        mean = sum(one["rmse_by_draw"]) / 2
        check(f"{name}: the mean of draws", abs(mean - one["rmse"]["value"]) < 1e-6)
        check(f"{name}: interval", one["rmse"]["low"] < mean < one["rmse"]["high"])
        check(f"{name}: kalman", rmse(curve, "default", n) < rmse(curve, "kalman", n))
        check(f"{name}: answers for all bins", one["missing"] == 0 and one["excluded"] == 0)
        check(f"{name}: regions", 0 < one["coverage50"] < one["coverage90"] <= 1)
        check(f"{name}: bins", sum(x["bins"] for x in one["reliability"]) > 0)
    check(f"{name}: data help", rmse(curve, "default", 3) < rmse(curve, "default", 1))
    for pair in curve["pairs"]:
        p = pair["position"]
        d = p["difference"]
        check(f"{name}: pair", pair["first"] == "default" and d["low"] <= d["value"] <= d["high"])
        check(f"{name}: p", 0 < p["p"] <= 1 and p["groups"] > 10)
frames = [row(load(name), "default", 3)["frames"] for name in ("curve", "aligned")]
check(f"the windows differ: {frames}", frames[0] != frames[1])
check("leads are told", "0 to 7 bins" in load("curve")["protocol"])

left = load("left")
check("a target that was never seen", rmse(left, "default") < rmse(left, "wiener"))

units = load("units")
for condition in "silent", "unobserved", "removed":
    check(f"{condition} is there", rmse(units, "default", 0, condition) > 0)
pairs = {(p["first"], p["second"]): p["position"]["ratio"]["value"] for p in units["pairs"]}
check(f"ratios {pairs}", set(pairs) == {("default silent", "default removed"),
                                        ("default unobserved", "default removed")})
check("unobserved units are no worse than 1.5", pairs["default unobserved", "default removed"] < 1.5)

prior = load("prior")
said = [row(prior, "default", 0, c)["log_score"]["value"] for c in ("wrong prior", "")]
check(f"a wrong prior costs: {said}", said[0] < said[1])
check("a wrong prior is overcome", rmse(prior, "default", 0, "wrong prior") < 40)

marks = load("marks")
check("stretches", marks["paired_over"] == "stretches of 5 s" and "contiguous" in marks["protocol"])
none = load("none")
check("no marks", "no trial marks" in none["protocol"])
check("marks matter to nobody who is not told", rmse(marks, "wiener") > 0)

days = load("days")
check("days", days["test"] == "day.h5" and rmse(days, "default") < rmse(days, "kalman"))
# A model trained, decoded and scored by hand on the same two sessions is the same decoder.
one, hand = row(days, "default"), load("score")["trajd"]
for a, b in (("rmse", "rmse"), ("rmse_trial", "rmse_trial"), ("mvaf", "mvaf")):
    check(f"days: {a} by hand", abs(one[a]["value"] - hand[b]) < 1e-6)
for a, b in (("coverage90", hand["coverage"]["90"]), ("velocity_lag", hand["velocity"]["lag"]),
             ("wrong_end", hand["wrong_end"]), ("calibration_error", hand["calibration_error"])):
    check(f"days: {a} by hand", abs(one[a] - b) < 1e-6)

today = load("today")
new, old = rmse(today, "default", 1), rmse(today, "default", 1, "adapted")
check(f"a day's model helps the next day: {old} against {new}", old < new)
check("yesterday's model is there", rmse(today, "default", 1, "yesterday") > 0)

with open("days.txt", encoding="utf-8") as file:
    text = file.read()
for word in "default", "kalman", "region holds", "paired over trials", "seeds 1":
    check(f"the table has {word}", word in text)

ahead, back = load("compare"), load("reverse")
check("compare: better", ahead["paired"]["position"]["better"] == "a.tjm")
check("compare: the same turned round", back["paired"]["position"]["better"] == "a.tjm")
a, b = (x["paired"]["position"]["difference"]["value"] for x in (ahead, back))
check("compare: antisymmetric", abs(a + b) < 1e-9 and a < 0)
with open("same.txt", encoding="utf-8") as file:
    check("compare: nothing to tell", "position  no difference can be told" in file.read())

with open("page.html", encoding="utf-8") as file:
    page = file.read()
check("the page has charts", page.count("<svg") == page.count("</svg>") >= 5)
# An empty icon of its own keeps a browser from asking for one.
alone = page.replace('<link rel="icon" href="data:,">', "", 1)
check("the page needs nothing else", not re.search(r"(?i)https?:|src=|@import|<link|<script", alone))
check("the page has no NaN", not re.search(r"\b-?nan\b|\binf\b", page))
for tag in "table", "figure", "svg", "g", "style", "div":
    check(f"{tag} is closed", len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"))
print("\n".join(bad) if bad else "what evaluate and compare say holds together")
sys.exit(1 if bad else 0)
