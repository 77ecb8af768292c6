# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine in a line, without which a time or a count says little."""
import os
import platform


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} processors, {platform.system()} {platform.release()}, " \
           f"load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    print(machine())
