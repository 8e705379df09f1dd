"""What scripts/convert can convert: one module a kind of file, listed here and nowhere else.

A module has EXAMPLES (lines for --help) and COMMANDS (messages.Command: name, summary,
add_arguments, run). To add a kind: a module beside these, its name in PARTS. What modules share:

    messages           errors with fact and help, exit codes
    torch_file         .pt files: what they hold, without unpickling; loading and saving
    safetensors_file   safetensors: checked reading, atomic writing, plain Python
    gaussian_schedule  the tables of a diffusion's noise schedule
    lockstep_folder    Lockstep's checkpoints and runs; folders that `init.from` takes
"""

from convert_parts import inception, lucidrains, state_dicts, sudoku_seed

PARTS = (sudoku_seed, lucidrains, inception, state_dicts)
