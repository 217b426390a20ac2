#!/usr/bin/env python3
"""Speaks the announcements of the answering machine: assets/{unavailable,full}-{en,de}.wav.

Needs SVOX Pico and its voices (Debian, section non-free; they need not be installed, only unpacked):

    apt-get download libttspico-utils libttspico-data libttspico0 && for f in *.deb; do dpkg -x $f DIR; done
    tools/announcements.py DIR

The same texts give the same files, to the bit. How they are finished is said in assets/README.md.
"""

import array
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import wave

TEXTS = {
    "unavailable-en": ("en-GB", "<speed level='115'>The person you have called can't take your call right now, and no message can be left at the moment. Please try again later.</speed>"),
    "unavailable-de": ("de-DE", "<speed level='118'>Ihr Anruf kann im Moment nicht angenommen werden, und es kann zurzeit keine Nachricht hinterlassen werden. Bitte versuchen Sie es später noch einmal.</speed>"),
    "full-en": ("en-GB", "<speed level='115'>The person you have called can't take your call right now. Their mailbox is full, so no message can be left. Please try again later.</speed>"),
    "full-de": ("de-DE", "<speed level='118'>Ihr Anruf kann im Moment nicht angenommen werden. Die Mehlbox ist voll, und es kann keine Nachricht hinterlassen werden. Bitte versuchen Sie es später noch einmal.</speed>"),
}

RATE = 16_000
FRAME = RATE // 50
SPEECH_BELOW_LOUDEST_DB = 35
BEFORE, AFTER, LONGEST_PAUSE = RATE // 10, RATE * 15 // 100, RATE * 32 // 100
LEVEL_DB, KNEE_DB, CEILING_DB = -20, -3, -1
FADE = RATE // 100


def speak(pico: pathlib.Path, voice: str, text: str) -> list[int]:
    lib = next((pico / "usr/lib").glob("*/libttspico.so.0"))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(lib.parent)}
    with tempfile.TemporaryDirectory() as folder:
        # The program looks for its voices where the package would have put them: a copy of it looks below its folder.
        program, spoken = pathlib.Path(folder) / "pico2wave", pathlib.Path(folder) / "spoken.wav"
        installed = b"/usr/share/pico/lang/"
        program.write_bytes((pico / "usr/bin/pico2wave").read_bytes().replace(installed, b"lang/".ljust(len(installed), b"\0")))
        program.chmod(0o700)
        command = [str(program), f"--lang={voice}", f"--wave={spoken}", text]
        subprocess.run(command, check=True, env=environment, cwd=pico / "usr/share/pico")
        with wave.open(str(spoken)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            return list(array.array("h", file.readframes(file.getnframes())))


def db(samples: list[float]) -> float:
    power = sum(sample * sample for sample in samples) / max(len(samples), 1)
    return 10 * math.log10(power / 32768**2) if power else -120.0


def finish(samples: list[int]) -> list[int]:
    frames = [samples[at : at + FRAME] for at in range(0, len(samples), FRAME)]
    levels = [db(frame) for frame in frames]
    speech = [level > max(levels) - SPEECH_BELOW_LOUDEST_DB for level in levels]
    first, last = speech.index(True), len(speech) - 1 - speech[::-1].index(True)

    kept: list[float] = [float(s) for s in samples[max(first * FRAME - BEFORE, 0) : first * FRAME]]
    pause: list[float] = []
    loud: list[float] = []
    for frame, is_speech in list(zip(frames, speech))[first : last + 1]:
        if is_speech:
            half = LONGEST_PAUSE // 2
            kept += pause if len(pause) <= LONGEST_PAUSE else pause[:half] + pause[-half:]
            pause = []
            kept += frame
            loud += frame
        else:
            pause += frame
    kept += samples[(last + 1) * FRAME : (last + 1) * FRAME + AFTER]

    gain = 10 ** ((LEVEL_DB - db(loud)) / 20)
    knee, ceiling = (32768 * 10 ** (level / 20) for level in (KNEE_DB, CEILING_DB))
    out = []
    for at, sample in enumerate(kept):
        size = abs(sample * gain)
        if size > knee:
            size = knee + (ceiling - knee) * math.tanh((size - knee) / (ceiling - knee))
        fade = min(1.0, at / FADE, (len(kept) - 1 - at) / FADE)
        out.append(round(math.copysign(size, sample) * fade))
    return out


def main() -> None:
    pico = pathlib.Path(sys.argv[1]).resolve()
    assets = pathlib.Path(__file__).parent.parent / "assets"
    for name, (voice, text) in TEXTS.items():
        samples = finish(speak(pico, voice, text))
        with wave.open(str(assets / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(array.array("h", samples).tobytes())
        print(f"{name}.wav: {len(samples) / RATE:.1f} s")


if __name__ == "__main__":
    main()
