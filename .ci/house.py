#!/usr/bin/env python3
"""What no compiler checks: banned functions, and includes against the order of the rooms."""
import re
import subprocess
import sys

ROOMS = {
    'base': set(),
    'network': {'base'},
    'search': {'base'},
    'space': {'network', 'base'},
    'firmware': {'network', 'base'},
    'costmodels': {'firmware', 'network', 'base'},
    'export': {'firmware', 'network', 'base'},
    'evaluators': {'network', 'base'},
    'study': {'search', 'space', 'costmodels', 'evaluators', 'export', 'firmware', 'network', 'base'},
}
ROOMS['cmd'] = set(ROOMS)
# Unbounded writes, silent conversions, hidden state, locale.
BANNED = re.compile(r'\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|rand|srand|'
                    r'random|setlocale)\s*\(')

files = subprocess.run(['git', 'ls-files', '*.c', '*.h'], capture_output=True, text=True,
                       check=True).stdout.split()
home = {f.split('/')[-1]: f.split('/')[0] for f in files if f.endswith('.h')}
faults = []
for name in files:
    room = name.split('/')[0]
    with open(name, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            where = f'{name}:{number}'
            if BANNED.search(re.sub(r'"[^"]*"|/\*.*?\*/', '', line)):
                faults.append(f'{where}: banned function: {line.strip()}')
            include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not include or room not in ROOMS:
                continue
            target = include.group(1)
            owner = home.get(target)
            if '/' in target or owner is None:
                faults.append(f'{where}: include a header of a room by its bare name')
            elif owner != room and owner not in ROOMS[room]:
                faults.append(f'{where}: {room} may not include {owner}')
            elif owner != room and owner != 'base' and target != f'{owner}.h':
                faults.append(f"{where}: {target} is private to {owner}, its public header is {owner}.h")
print('\n'.join(faults) or f'{len(files)} files: no banned function, no include against the order')
sys.exit(bool(faults))
