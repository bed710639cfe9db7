# SPDX-License-Identifier: MIT
"""Samples to tables: medians, ranges, ratios of pairs."""

import json
import statistics

from bench.rows import AT_MOST, FLAT, TARGETS, rows

MODE_FACTOR = 1.6  # how far the cores' round trips of two samples may differ for them to be compared


def sample_text(moved, figures, unit):
    cost, cost_unit = cost_of({**moved, **figures, "unit": unit})
    text = f"{moved['rate']:.3g} {unit}"
    return text + (f", {cost:.3g} {cost_unit}" if cost is not None else f", {cost_unit}" if cost_unit else "")


def cost_of(sample):
    """Processor time for a piece of work, and its unit; None where there is no piece."""
    if not sample.get("backends", 1):
        return None, "in the kernel"
    if sample.get("packets"):
        return sample["cpu"] * 1e9 / sample["packets"], "ns/packet"
    if sample.get("bytes"):
        return sample["cpu"] * 1e9 / sample["bytes"], "CPU-s/GB"
    if sample.get("count"):
        return sample["cpu"] * 1e6 / sample["count"], "CPU-µs each"
    if sample.get("unit") == "wake-ups/s":
        return sample["cpu"] * 1e3 / sample["elapsed"], "CPU-ms a second"
    return None, ""


def machine_cost(sample):
    return cost_of({**sample, "cpu": sample["machine_cpu"], "backends": 1})[0]


def read(folder):
    """Samples by row and subject, in their order; and what was left out."""
    found, left_out = {}, {}
    for line in (folder / "samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if "left_out" in sample or "error" in sample:
            reason = sample.get("left_out") or sample["error"]
            left_out.setdefault(sample["row"], {})[sample["subject"]] = " ".join(reason.split())
        else:
            found.setdefault(sample["row"], {}).setdefault(sample["subject"], []).append(sample)
    return found, left_out


def middle(values, digits=3):
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    return f"{statistics.median(values):.{digits}g} ({min(values):.{digits}g}–{max(values):.{digits}g})" if len(values) > 1 else f"{values[0]:.{digits}g}"


def same_mode(one, other):
    spins = [sample[key] for sample in (one, other) for key in ("spin_before", "spin_after")]
    return min(spins) <= 0 or max(spins) / min(spins) <= MODE_FACTOR


def ratios(ours, theirs, by):
    """Ratios of the pairs of one round, above 1 where ours is better; pairs of one mode only, if there are any."""
    pairs = [(one, other) for one in ours for other in theirs if one["round"] == other["round"]]
    alike = [pair for pair in pairs if same_mode(*pair)]
    return [value for value in (ratio(one, other, by) for one, other in (alike or pairs)) if value is not None], len(alike), len(pairs)


def ratio(one, other, by):
    if by == "cpu":
        a, b = cost_of(other)[0], cost_of(one)[0]
    elif by == "core":
        a, b = (sample["rate"] * sample["elapsed"] / sample["cpu"] if sample["cpu"] else None for sample in (one, other))
    else:
        a, b = one["rate"], other["rate"]
        if not one["higher_is_better"]:
            a, b = b, a
    return a / b if a is not None and b else None


def row_lines(row, samples):
    """A line for each subject; ratios are those of the first of ours to it."""
    ours = next((subject for subject in row.subjects if subject.startswith("hospes ") and subject in samples), None)
    ceiling = statistics.median(sample["rate"] for sample in samples[row.ceiling]) if row.ceiling in samples else None
    for subject, list_ in samples.items():
        rate = [sample["rate"] for sample in list_]
        usual = statistics.median(rate)
        notes = []
        if subject == row.ceiling:
            notes.append("the client's own ceiling")
        elif ceiling and list_[0]["higher_is_better"] and usual >= 0.9 * ceiling:
            notes.append("client-bound" if usual <= 1.1 * ceiling else "above the client's own loopback")
        if "p99" in list_[0]:
            notes.append(f"p99 {middle([sample['p99'] for sample in list_])} µs")
        cost, unit = middle([cost_of(sample)[0] for sample in list_]), cost_of(list_[0])[1]
        cells = [subject, f"{middle(rate)} {list_[0]['unit']}", f"{cost} {unit}" if cost != "–" else unit, middle([machine_cost(sample) for sample in list_])]
        for by in ("rate", "cpu"):
            values = ratios(samples[ours], list_, by)[0] if ours and subject != ours else []
            cells.append(middle(values) if values else "")
        yield "| " + " | ".join(cells + ["; ".join(notes)]) + " |"


def target_line(target, found, left_out):
    samples = found.get(target.row, {})
    best = None
    for ours in target.ours:
        worst = None
        for peer in target.peers:
            if ours in samples and peer in samples:
                values, alike, pairs = ratios(samples[ours], samples[peer], target.by)
                if values and (worst is None or statistics.median(values) < statistics.median(worst[0])):
                    worst = values, alike, pairs
        if worst and (best is None or statistics.median(worst[0]) > statistics.median(best[1][0])):
            best = ours, worst
    what = {"rate": "", "cpu": ", processor time", "core": ", a core"}[target.by]
    wanted = f"≥ {target.factor:.3g} × {', '.join(target.peers)}{what}"
    if not best:
        missing = [f"{name}: {reason}" for name, reason in left_out.get(target.row, {}).items() if name in target.ours + target.peers]
        return f"| {target.text} | {wanted} | – | not measured{': ' + '; '.join(missing) if missing else ''} |"
    ours, (values, alike, pairs) = best
    verdict = "met" if statistics.median(values) >= target.factor else "missed"
    return f"| {target.text} | {wanted} | {middle(values)} ({ours}; {alike or pairs} of {pairs} pairs) | {verdict} |"


def growth(flat, subject, found):
    """From the row with few to that with many: the factor, and both costs. None if one is not there."""
    few, many = ([cost_of(sample)[0] for sample in found.get(row, {}).get(subject, [])] for row in (flat.few, flat.many))
    return (statistics.median(many) / statistics.median(few), few, many) if few and many else None


def flat_line(flat, found, left_out):
    wanted = f"≤ {flat.factor:.3g} × the cost"
    ours, beside = growth(flat, flat.subject, found), growth(flat, flat.beside, found)
    if not ours:
        reason = left_out.get(flat.many, {}).get(flat.subject) or left_out.get(flat.few, {}).get(flat.subject)
        return f"| {flat.text} | {wanted} | – | not measured{': ' + reason if reason else ''} |"
    text = f"{ours[0]:.3g}: {middle(ours[1])} to {middle(ours[2])} ns/packet ({flat.subject})"
    if beside:
        text += f"; {flat.beside}: {beside[0]:.3g}"
    return f"| {flat.text} | {wanted} | {text} | {'met' if ours[0] <= flat.factor else 'missed'} |"


def at_most_line(line, found, left_out):
    wanted = f"≤ {line.limit:g} {line.unit}"
    for subject in line.subjects:
        samples, others = found.get(line.row, {}).get(subject), found.get(line.less, {}).get(subject)
        if not samples or (line.less and not others):
            continue
        value = statistics.median(sample["rate"] for sample in samples)
        if line.less:
            value = (value - statistics.median(sample["rate"] for sample in others)) / (samples[0]["guests"] - others[0]["guests"])
        return f"| {line.text} | {wanted} | {value:.3g} {line.unit} ({subject}) | {'met' if value <= line.limit else 'missed'} |"
    reason = left_out.get(line.row, {}).get(line.subjects[0])
    return f"| {line.text} | {wanted} | – | not measured{': ' + reason if reason else ''} |"


def machine_lines(folder):
    path = folder / "machine.json"
    if not path.exists():
        return []
    machine = json.loads(path.read_text())
    return [f"{machine['date']}, {machine['commit']}: {machine['cores']} cores ({machine['model']}), {machine['memory']} GiB, Linux {machine['kernel']}; "
            f"{machine['pairs']} pairs of {machine['seconds']:g} s.", ""]


def mode_lines(found):
    """In which modes the machine was, and how busy with other things."""
    samples = [sample for subjects in found.values() for list_ in subjects.values() for sample in list_]
    if not samples:
        return []
    spins = sorted(sample["spin_before"] for sample in samples)
    part = len(spins) // 10
    return [f"Round trip between the cores before a sample: median {statistics.median(spins):.0f} ns, one in ten below {spins[part]:.0f}, "
            f"one in ten above {spins[-1 - part]:.0f}; load average {middle([sample['load'] for sample in samples if 'load' in sample])}.", ""]


def markdown(folder):
    found, left_out = read(folder)
    lines = [*machine_lines(folder), *mode_lines(found), "## Targets", "", "| work | target | ratio: median (range) | |", "| --- | --- | --- | --- |"]
    lines += [target_line(target, found, left_out) for target in TARGETS]
    lines += [flat_line(flat, found, left_out) for flat in FLAT] + [at_most_line(line, found, left_out) for line in AT_MOST]
    lines += ["", "## Rows", "", "Median (range). The ratios are those of the row's first line to the subject, above 1 where ours is better: "
              "by rate, and by the backend's processor time."]
    for row in rows():
        if row.name not in found:
            continue
        lines += ["", f"### {row.name}", "", "| subject | rate | backend's processor time | whole machine's | × rate | × processor | |",
                  "| --- | --- | --- | --- | --- | --- | --- |"]
        lines += row_lines(row, found[row.name])
        lines += ["", *(f"{subject}: {reason}" for subject, reason in left_out.get(row.name, {}).items())]
    return "\n".join(lines) + "\n"
