#!/usr/bin/env python3
"""Records machine metrics of this Linux host as line protocol, one sample per interval.

Reads /proc only. The host's name is replaced by the tag `host=bench-1`, so nothing identifies the machine.

usage: record_machine.py OUT.lp SECONDS [INTERVAL_SECONDS]
"""
import shutil
import sys
import time

HOST = "bench-1"
CPU_FIELDS = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
MEM_FIELDS = {"MemTotal": "total", "MemFree": "free", "MemAvailable": "available", "Buffers": "buffered", "Cached": "cached",
              "Dirty": "dirty", "SwapTotal": "swap_total", "SwapFree": "swap_free"}


def cpu_ticks():
    rows = {}
    with open("/proc/stat") as f:
        for line in f:
            if line.startswith("cpu"):
                name, *ticks = line.split()
                rows["cpu-total" if name == "cpu" else name] = [int(t) for t in ticks[: len(CPU_FIELDS)]]
    return rows


def cpu_lines(before, now, ns):
    for name, ticks in now.items():
        spent = [b - a for a, b in zip(before.get(name, ticks), ticks)]
        whole = sum(spent)
        if whole > 0:
            fields = ",".join(f"usage_{k}={100.0 * v / whole:.3f}" for k, v in zip(CPU_FIELDS, spent))
            yield f"cpu,cpu={name},host={HOST} {fields} {ns}"


def mem_line(ns):
    values = {}
    with open("/proc/meminfo") as f:
        for line in f:
            key, rest = line.split(":", 1)
            if key in MEM_FIELDS:
                values[MEM_FIELDS[key]] = int(rest.split()[0]) * 1024
    values["used"] = values["total"] - values["available"]
    fields = ",".join(f"{k}={v}i" for k, v in values.items())
    return f"mem,host={HOST} {fields},used_percent={100.0 * values['used'] / values['total']:.3f} {ns}"


def load_line(ns):
    with open("/proc/loadavg") as f:
        one, five, fifteen, tasks, _ = f.read().split()
    running, total = tasks.split("/")
    return f"system,host={HOST} load1={one},load5={five},load15={fifteen},running={running}i,processes={total}i {ns}"


def net_lines(ns):
    with open("/proc/net/dev") as f:
        for line in f.readlines()[2:]:
            name, rest = line.split(":", 1)
            v = rest.split()
            if name.strip() == "lo" or name.strip().startswith(("eth", "en")):
                name = "lo" if name.strip() == "lo" else "eth0"
                yield (f"net,host={HOST},interface={name} bytes_recv={v[0]}i,packets_recv={v[1]}i,err_in={v[2]}i,drop_in={v[3]}i,"
                       f"bytes_sent={v[8]}i,packets_sent={v[9]}i,err_out={v[10]}i,drop_out={v[11]}i {ns}")


def diskio_lines(ns):
    seen = 0
    with open("/proc/diskstats") as f:
        for line in f:
            v = line.split()
            name = v[2]
            if name.startswith(("loop", "ram", "zram")) or int(v[3]) + int(v[7]) == 0:
                continue
            seen += 1
            if seen > 4:
                break
            yield (f"diskio,host={HOST},name={name} reads={v[3]}i,read_bytes={int(v[5]) * 512}i,read_time={v[6]}i,"
                   f"writes={v[7]}i,write_bytes={int(v[9]) * 512}i,write_time={v[10]}i,iops_in_progress={v[11]}i {ns}")


def disk_line(ns):
    d = shutil.disk_usage("/")
    return f"disk,host={HOST},path=/ total={d.total}i,used={d.used}i,free={d.free}i,used_percent={100.0 * d.used / (d.used + d.free):.4f} {ns}"


def main():
    out, seconds = sys.argv[1], float(sys.argv[2])
    interval = float(sys.argv[3]) if len(sys.argv) > 3 else 5.0
    end = time.time() + seconds
    before = cpu_ticks()
    next_at = (time.time() // interval + 1) * interval
    with open(out, "a") as f:
        while next_at < end:
            time.sleep(max(0.0, next_at - time.time()))
            ns = int(next_at * 1e9) // 10**6 * 10**6
            now = cpu_ticks()
            lines = [*cpu_lines(before, now, ns), mem_line(ns), load_line(ns), *net_lines(ns), *diskio_lines(ns), disk_line(ns)]
            before = now
            f.write("\n".join(lines) + "\n")
            f.flush()
            next_at += interval


if __name__ == "__main__":
    main()
