#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a man page from a page of Markdown, or from a C header whose comments say what is what:

    man.py PAGE.md NAME SECTION OUT
    man.py HEADER.h NAME 3 OUT

Of Markdown it knows what this project's pages use: headings, paragraphs, code (fenced or indented), lists, tables,
`code`, **bold**, _emphasis_ and links.  A row of a table becomes a paragraph of its own, its first cell in front, because
six columns are not legible on a terminal.  Links to other pages lose their address: on an installed machine it leads nowhere.
"""
import os
import re
import sys


def plain(text):
    """Text as troff takes it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def inline(text):
    """One paragraph's worth of Markdown."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    out = []
    for piece in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\b_[^_]+_\b)", text):
        if piece.startswith("`"):
            out.append("\\fB" + plain(piece[1:-1]) + "\\fR")
        elif piece.startswith("**"):
            out.append("\\fB" + plain(piece[2:-2]) + "\\fR")
        elif re.fullmatch(r"_[^_]+_", piece):
            out.append("\\fI" + plain(piece[1:-1]) + "\\fR")
        else:
            out.append(plain(piece))
    line = "".join(out)
    # A line that begins with a dot or a quote is an order to troff.
    return "\\&" + line if line[:1] in (".", "'") else line


def code(lines):
    return [".PP", ".in +4n", ".nf"] + [plain(line) for line in lines] + [".fi", ".in"]


def table(rows):
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    head, body, out = cells[0], cells[2:], []
    for row in body:
        out += [".TP", inline(row[0]) or "\\&"]
        said = []
        for name, cell in zip(head[1:], row[1:]):
            if cell:
                said.append(inline(cell) if len(head) == 2 or not name else "\\fI" + plain(name) + "\\fR: " + inline(cell))
        out.append("; ".join(said) or "\\&")
    return out


def blocks(lines):
    """(kind, lines) of each block."""
    i = 0
    while i < len(lines):
        line, start = lines[i], i
        if not line.strip():
            i += 1
        elif line.startswith("```"):
            i += 1
            while not lines[i].startswith("```"):
                i += 1
            i += 1
            yield "code", lines[start + 1:i - 1]
        elif line.startswith("    "):
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                i += 1
            yield "code", [text[4:] for text in "\n".join(lines[start:i]).rstrip().split("\n")]
        elif line.startswith("#"):
            i += 1
            yield "heading", [line]
        elif line.startswith("|"):
            while i < len(lines) and lines[i].startswith("|"):
                i += 1
            yield "table", lines[start:i]
        elif re.match(r"([-*]|\d+\.) ", line):
            i += 1
            while i < len(lines) and lines[i].startswith("  ") and lines[i].strip():
                i += 1
            yield "item", lines[start:i]
        else:
            while i < len(lines) and lines[i].strip() and not re.match(r"#|\||```|([-*]|\d+\.) ", lines[i]):
                i += 1
            i = max(i, start + 1)
            yield "text", lines[start:i]


def body(lines):
    out = []
    for kind, block in blocks(lines):
        joined = " ".join(line.strip() for line in block)
        if kind == "code":
            out += code(block)
        elif kind == "table":
            out += table(block)
        elif kind == "item":
            mark, text = joined.split(" ", 1)
            out += [".IP " + ("\\(bu" if mark in "-*" else plain(mark)) + " 4", inline(text)]
        elif kind == "heading":
            level = len(joined) - len(joined.lstrip("#"))
            title = inline(joined.lstrip("# "))
            out += [".SH " + title.upper() if level == 2 else ".SS " + title]
        else:
            out += [".PP", inline(joined)]
    return out


def first_sentence(text):
    return re.split(r"(?<=[a-z0-9\)\"`])\. |\.$|: ", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "").replace("*", ""))[0]


def page(name, section, about, content):
    head = [".\\\" SPDX-License-Identifier: GPL-3.0-or-later", f".TH {name.upper()} {section} \"\" trajd", ".ad l", ".SH NAME",
            f"{plain(name)} \\- {plain(about)}"]
    lines = head + content
    # A paragraph begins by itself after a heading.
    lines = [line for line, before in zip(lines, [""] + lines) if line != ".PP" or not before.startswith((".SH", ".SS"))]
    return "\n".join(lines) + "\n"


def of_markdown(text, name, section):
    lines = text.split("\n")
    said = next((" ".join(block) for kind, block in blocks(lines[1:]) if kind == "text"), "")
    return page(name, section, lines[0].lstrip("# ") + ": " + first_sentence(said), [".SH DESCRIPTION"] + body(lines[1:]))


def of_header(text, name, section):
    """Comments as paragraphs, each followed by the declarations that it stands before."""
    text = re.sub(r"/\* SPDX.*?\*/\n", "", text)
    file, first, content = os.path.basename(sys.argv[1]), None, []
    for comment, rest in re.findall(r"/\*(.*?)\*/\n((?:(?!/\*)[^\n]*\n|[^\n]*\S[^\n]*/\*[^\n]*\n)*)", text, re.S):
        words = " ".join(re.sub(r"^ *\* ?", "", line).strip() for line in comment.strip().split("\n"))
        declared = [line for line in rest.split("\n") if not re.match(r"#(ifndef|endif|include|define \w+_H$)", line)]
        declared = "\n".join(declared).strip("\n").split("\n")
        if first is None:
            first = words
            content += [".SH SYNOPSIS", f".B #include <traj/{file}>", ".SH DESCRIPTION", plain(words)]
        else:
            content += [".PP", plain(words)]
        if any(line.strip() for line in declared):
            content += code(declared)
    about = first_sentence(first.split(": ", 1)[-1])
    return page(name, section, about, content + [".SH SEE ALSO", ".BR pkg\\-config (1)"])


def main():
    path, name, section, out = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(out, "w", encoding="utf-8") as file:
        file.write((of_header if path.endswith(".h") else of_markdown)(text, name, section))


if __name__ == "__main__":
    main()
