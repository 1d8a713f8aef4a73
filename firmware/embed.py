"""The sources that an exported network takes along, as firmware_files[]: OUT FILE..."""
import os
import sys

out, files = sys.argv[1], sys.argv[2:]
with open(out, 'w', encoding='utf-8') as c:
    c.write('#include "firmware.h"\n\n')
    for i, name in enumerate(files):
        with open(name, 'rb') as f:
            text = ','.join(str(byte) for byte in f.read() + b'\0')
        c.write(f'static const char file_{i}[] = {{{text}}};\n')
    c.write('const struct firmware_file firmware_files[] = {\n')
    for i, name in enumerate(files):
        c.write(f'\t{{ "{os.path.basename(name)}", file_{i} }},\n')
    c.write(f'}};\nconst size_t n_firmware_files = {len(files)};\n')
