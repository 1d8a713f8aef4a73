#!/usr/bin/env python3
"""The tables of firmware/instructions.c: least squares over random shapes, counted in QEMU.
BUILD: where nasc was built. Needs numpy, arm-none-eabi-gcc and qemu-system-arm."""
import collections
import glob
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def shapes():
    """Rows of tests/firmware/kernels.c: kernel, h, w, c, window, stride, output channels."""
    random.seed(5)
    between, rows = random.randint, []

    def add(*row):
        rows.append(row)

    def fits(h, w, c, out_c, k):
        return h * w * c <= 20000 and h * w * out_c <= 20000 and k * k * c * out_c <= 102000

    while len(rows) < 260:
        k = random.choice([1, 1, 3, 3, 3, 5, 7, 2])
        h, w = between(1, 24), between(1, 24)
        c = random.choice([1, 2, 3, 5, 6, 7, 9, 13] + [4 * between(1, 24) for _ in range(12)])
        out_c, s = between(1, 70), random.choice([1, 1, 2, 3])
        if fits(h, w, c, out_c, k) and k * k * c <= 1600 and h * w * c * out_c * k * k / (s * s) < 6e6:
            add('CONV', h, w, c, k, s, out_c)
    while len(rows) < 600:
        k, s = random.choice([(3, 1)] * 5 + [(3, 2)] * 3 + [(5, 1)] * 3 + [(5, 2)] * 2 + [(7, 1)] * 2 +
                             [(7, 2)] * 2 + [(3, 3), (1, 1), (2, 1), (4, 1), (9, 1), (2, 2)])
        h, w = between(1, 30), between(1, 30)
        c = random.choice([4 * between(1, 24), between(1, 40)])
        if fits(h, w, c, 1, 1) and h * w * c * k * k < 3e6:
            add('DEPTHWISE', h, w, c, k, s, c)
    for _ in range(60):
        h, c, out_c = between(1, 4), between(1, 200), between(1, 60)
        if h * h * c * out_c < 100000:
            add('DENSE', h, h, c, 1, 1, out_c)
    for _ in range(60):
        h, w, c, k, s = between(2, 16), between(2, 16), between(1, 40), between(2, 4), between(1, 3)
        if s != h:
            add('MAX', h, w, c, k, s, c)
            add('MEAN', h, w, c, k, s, c)
    for _ in range(20):
        h, c = between(2, 12), between(1, 64)
        add('MEAN', h, h, c, h, h, c)
    for _ in range(15):
        h, w, c = between(1, 12), between(1, 12), between(1, 30)
        add('SCALE', h, w, c, 1, 1, c)
        add('PLACE', h, w, c, 1, 1, c + between(0, 9))
        add('CLAMP', h, w, c, 1, 1, c)
        add('ADD', h, w, c, 2, 1, c)
        add('PAD', h, w, c, 1, between(1, 3), c)
        if 9 * h * w * c < 20000:
            add('UPSAMPLE', h, w, c, 1, between(1, 3), c)
        add('ADD', h, w, c, 3, 1, c)
        add('ADD', h, w, c, between(4, 5), 1, c)
    for _ in range(20):
        c, k = between(1, 3), random.choice([1, 2, 3, 5])
        add('DEPTHWISE', between(2, 20), between(2, 20), c, k, between(1, 2), c)
    return rows


def count(folder):
    """Rows of work_of(): kernel, instructions, work."""
    firmware, kernels = f'{SOURCE}/firmware', f'{SOURCE}/tests/firmware/kernels.c'
    with open(f'{folder}/shapes', 'w', encoding='utf-8') as f:
        f.writelines('{ %s, %d, %d, %d, %d, %d, %d },\n' % row for row in shapes())
    subprocess.run(['arm-none-eabi-gcc', '-mthumb', '-mcpu=cortex-m4', '-mfloat-abi=hard', '-mfpu=fpv4-sp-d16',
                    '-O2', '-ffunction-sections', '-fdata-sections', '-nostartfiles', '--specs=nano.specs',
                    f'-DSHAPES="{folder}/shapes"', '-I', firmware, '-I', f'{firmware}/boards', kernels,
                    *glob.glob(f'{firmware}/nasc_*.c'), f'{firmware}/boards/board.c', '-L', f'{firmware}/boards',
                    '-T', 'mps2-an386.ld', '-Wl,--gc-sections', '-Wl,--no-warn-rwx-segments',
                    '-o', f'{folder}/kernels.elf'], check=True)
    subprocess.run(['qemu-system-arm', '-M', 'mps2-an386', '-nographic', '-monitor', 'none', '-serial', 'none',
                    '-semihosting-config', 'enable=on,target=native', '-icount', 'shift=10', '-kernel',
                    'kernels.elf'], cwd=folder, stdin=subprocess.DEVNULL, timeout=120, check=True)
    build = sys.argv[1]
    subprocess.run(['cc', '-O1', *(f'-I{SOURCE}/{room}' for room in ('firmware', 'network', 'base')),
                    f'{SOURCE}/tests/firmware/work.c', f'{build}/firmware/libfirmware.a',
                    f'{build}/network/libnetwork.a', f'{build}/network/libonnx.a', f'{build}/base/libbase.a',
                    '-lcjson', '-lprotobuf-c', '-lyaml', '-lm', '-o', f'{folder}/work'],
                   check=True)
    with open(f'{folder}/counts.csv', encoding='utf-8') as counts:
        text = subprocess.run([f'{folder}/work'], stdin=counts, capture_output=True, text=True, check=True).stdout
    rows = collections.defaultdict(list)
    for line in text.splitlines():
        kernel, *numbers = line.split()
        rows[kernel].append([float(n) for n in numbers])
    return rows


def fit(rows):
    """Instructions per unit of work, by relative errors."""
    counted, work = np.array(rows)[:, 0], np.array(rows)[:, 1:]
    weight = 1 / np.maximum(counted, 1500)
    live = np.abs(work).max(0) > 0
    scaled = (work * weight[:, None])[:, live]
    scale = np.abs(scaled).max(0)
    table = np.zeros(work.shape[1])
    table[live] = np.linalg.lstsq(scaled / scale, counted * weight, rcond=1e-11)[0] / scale
    table = np.round(table, 3)
    off = (work @ table - counted)[counted > 3000] / counted[counted > 3000]
    return table, np.sqrt((off ** 2).mean()) if len(off) else 0, np.abs(off).max(initial=0)


def print_table(name, table):
    print(f'static const double {name}_table[] = {{ {", ".join("%.7g" % (v + 0) for v in table)} }};')


with tempfile.TemporaryDirectory() as scratch:
    measured = count(scratch)
for name, kernel_rows in measured.items():
    fitted, root_mean_square, worst = fit(kernel_rows)
    print(f'{name}: {root_mean_square:.4f} off, at worst {worst:.4f}', file=sys.stderr)
    name = name.replace('_pool', '')
    if name == 'add':
        print_table('add', fitted[:6])
        print_table('add_input', fitted[6:])
    elif name == 'upsample':
        print_table(name, fitted[:6])
        print(f'static const double upsample_row = {fitted[6]:.7g};')
    else:
        print_table(name, fitted)
