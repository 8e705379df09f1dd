#include "launcher/command_help.h"

namespace lockstep::help {

const char* const kExamples =
    R"(lockstep: trains models from YAML; the same weights on any number of ranks

Examples
  lockstep train configs/sudoku/quickstart.yaml train.steps=200   train, with a key of your own
  lockstep plan configs/sudoku/quickstart.yaml               what would happen, without doing it
  lockstep resume runs/sudoku_quickstart --ranks 1           go on with the newest run of that name
  lockstep sample runs/sudoku_quickstart --puzzle puzzle.txt
)";

const char* const kOverviewEnd = R"(
lockstep COMMAND --help has more examples and the flags; lockstep config keys lists every key.
Exit codes: 0 done, 2 command line or config, 3 environment, 4 data, 5 checkpoint, 6 ranks failed,
7 numbers broke, 8 folder in use, 70 a bug, 75 stopped and saved, 130 interrupted twice.
)";

const char* const kTrain = R"(lockstep train CONFIG [key=value ...] [flags]

Examples
  lockstep train configs/sudoku/quickstart.yaml
  lockstep train configs/sudoku/quickstart.yaml --ranks 4
  lockstep train my.yaml train.steps=500 optimizer.lr=3e-4 'task.model.hidden=[64, 128]'
  lockstep train my.yaml --dry-run 2               two steps, one evaluation, one save and load
  mpirun -n 4 lockstep train my.yaml               under a launcher of your own
  torchrun --nproc-per-node 4 --no-python lockstep train my.yaml
  lockstep train my.yaml --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --nproc-per-node 4

Flags
  --ranks N             ranks (processes) in all; also --nproc-per-node N, as torchrun has it
  --run-folder PATH     use PATH instead of a new folder below run.folder; it must hold no run
  --dry-run N           N steps, then one evaluation, one save and load
  --max-restarts N      restarts after a rank died or hung (launch.max_restarts)
  --profile STEPS       a Chrome trace a rank and a table of operators: 5 (steps) or 100-104
  --nnodes N --node-rank R --master-addr A [--master-port P] --nproc-per-node M [--rdzv-id SECRET]
                        one of N nodes with M ranks each: the same command on every node, over a shared folder
  --log-dir D           puts a link to the run's logs into D; every rank has a log file anyway
  --standalone --tee --redirects
                        accepted for torchrun's users: nothing is left to do for them

Overrides follow Hydra: a.b=3 sets, +a.b=3 adds, ~a.b goes back to the default.
Ctrl-C once, SIGTERM or SIGUSR1: all ranks finish their step, save and end (exit 75). Ctrl-C twice:
at once (exit 130). The last line on stdout is always `run folder: PATH`.
)";

const char* const kResume = R"(lockstep resume RUN [key=value ...] [flags]

Examples
  lockstep resume runs/sudoku_quickstart/20260101-120000
  lockstep resume runs/sudoku_quickstart                 the newest run of that name
  lockstep resume runs/sudoku_quickstart --ranks 1       on another number of ranks: the same weights
  lockstep resume runs/sudoku_quickstart log.every_steps=1

Flags
  --ranks N             ranks (processes) in all; also --nproc-per-node N
  --max-restarts N      restarts after a rank died or hung
  --profile STEPS       a Chrome trace a rank and a table of operators: 5 (steps) or 100-104
  --dry-run N           N steps only

Overrides may change launch, log, checkpoint, data.threads, ddp's bucket, overlap and timeout, and
train.steps under a constant schedule. For anything else start a new run with `init: {from: RUN}`.
)";

const char* const kLaunch = R"(lockstep launch [flags] -- PROGRAM [ARGUMENTS...]

Examples
  lockstep launch --nproc-per-node 4 -- ./my_program input.txt
  lockstep launch --nproc-per-node 2 --max-restarts 3 -- python3 train.py
  lockstep launch --with mpirun --nproc-per-node 2 -- ./mpi_program
  lockstep launch --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --nproc-per-node 8 -- ./my_program

Sets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER_ADDR and MASTER_PORT, as torchrun
does. When a rank fails the others are ended; the exit code is that of the first one that failed.

Flags (torchrun's, with - or _; also as PET_ variables)
  --nproc-per-node N    ranks here (cpu: one a core)
  --nnodes N  --node-rank R  --master-addr A  --master-port P
                        one of N nodes; run the same command on each
  --max-restarts N      start all ranks again after a failure
  --log-dir D --redirects 1|2|3
                        stdout, stderr or both into D/attempt_N/LOCAL_RANK/
  --with W              auto (srun inside a Slurm job, else local), local, mpirun, srun
)";

const char* const kPlan = R"(lockstep plan CONFIG [key=value ...] [flags]

Examples
  lockstep plan configs/sudoku/quickstart.yaml
  lockstep plan my.yaml --ranks 8
  lockstep plan my.yaml train.global_batch=256 --json

  lockstep plan my.yaml --nodes 4 --gpus 8              of a job on other machines

Flags
  --ranks N, --nodes N  as if N ranks a node, N nodes were asked for
  --cores N, --gpus N   as if each node had N
  --prepare             makes missing data first (data.make), as train does
  --json                one line of JSON instead of text
)";

const char* const kSweep = R"(lockstep sweep SWEEP.yaml [key=value ...] [flags]

Examples
  lockstep sweep configs/sudoku/sweep.yaml              all points, several at a time, then a ranked table
  lockstep sweep configs/sudoku/sweep.yaml --print      the points and what each would run; starts nothing
  lockstep sweep my-sweep.yaml train.steps=500          a value for all points

The file
  base: quickstart.yaml                                 the config that points vary, relative to this file
  grid:   {optimizer.lr: [1.0e-3, 3.0e-3], train.global_batch: [16, 32]}      every combination
  list:   [{optimizer.lr: 1.0e-2}]                                            these, one by one
  random: {points: 8, keys: {optimizer.lr: {low: 1.0e-4, high: 1.0e-2, scale: log}}}
  rank_by: [validation_loss, validation_accuracy]       set: {train.steps: 1000}   more: docs/sweeps.md

Flags
  --print, --dry-run    lists the points, checks each plan
  --at-once N           points at a time (default: at_once of the file, or as many as have cores)
  --folder PATH         where the sweep's folder goes

Run it again after a stop or a kill: done points stay, others go on from their checkpoints. Exit code:
0 all done, 75 stopped and saved, else that of the first point that failed.
)";

const char* const kSample = R"(lockstep sample RUN|CONFIG [flags]

Examples
  lockstep sample runs/sudoku_quickstart --puzzle 53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79
  lockstep sample runs/sudoku_quickstart --puzzle puzzles.txt        81 characters a line, . or 0 blank
  lockstep sample runs/shapes --count 64 --output grid.png --sampler dpmpp_2m --steps 20
  lockstep sample runs/shapes --count 1000 --output folder sampler.eta=0.5
  lockstep sample runs/cifar10 --classes 3,5 --guidance 4 --count 32 --output cats-and-dogs.png
  lockstep sample runs/photos --interpolate a.png,b.jpg --mix 0,0.25,0.5,0.75,1 --time 500 --output between.png

Flags
  --count N             how many to draw
  --output FILE         a picture (.png); images: also tensors (.safetensors) or a folder of pictures
  --seed N              of what is random (default: run.seed)
  --weights W           model (the last instead of the averaged weights), or a .safetensors file
  --threads N           threads that draw (default: all cores)
Sudoku
  --puzzle P|FILE       what to complete; without it grids are drawn from nothing
  --board               draws boards on stderr as well
Images
  --sampler KIND        ddpm, ddim or dpmpp_2m with its defaults, instead of the config's section sampler
  --steps K             network passes a picture (sampler.steps)
  --batch N             pictures that share a pass
  --noise FILE          start from its tensor noise [B,C,H,W]; step_noise [K,B,C,H,W] for samplers with noise
  --trajectory          all states as well, in the .safetensors file
  --classes 0,1,2       of the pictures, in turn, for networks with classes (-1: none; default: all in turn)
  --guidance X          how strongly they follow their class (task.guidance.scale)
  --interpolate A,B     between two pictures (PNG, JPEG), or a file with tensors x1 and x2 [B,C,H,W]: --mix L
                        of the second (0 to 1; 0,0.5,1 draws several), noised to --time T

Sudoku: prints one solved line a puzzle, in order, on stdout.
)";

const char* const kEvaluate = R"(lockstep evaluate RUN [flags]

Examples
  lockstep evaluate runs/sudoku_quickstart
  lockstep evaluate runs/sudoku_quickstart --json        one line of JSON

Scores of the newest checkpoint by the `evaluate:` section of the run's config.
)";

const char* const kBench = R"(lockstep bench sampler RUN|CONFIG [flags] [key=value ...]

Examples
  lockstep bench sampler runs/shapes                     all samplers at 10, 20 and 50 steps
  lockstep bench sampler runs/shapes --samplers ddim,dpmpp_2m --steps 5,10,20 --output bench.html
  lockstep bench sampler runs/shapes --precision fp32,bf16 --attention auto,math,flash --graph off,on
  lockstep bench sampler configs/images/cifar10.yaml --samplers ddim --steps 50 --profile

Each row: mean, deviation and percentiles of a draw, pictures and steps a second, peak memory, and the distance of
its pictures to a long reference from the same noise. A config alone is measured with random weights.

Flags
  --samplers LIST       of ddim, dpmpp_2m, ddpm (which takes all timesteps)
  --steps LIST          network passes: 10,20,50
  --precision LIST      of fp32, bf16, fp16
  --graph LIST          of off, on (a step as one CUDA graph: not available on CPUs; on is a GPU's default)
  --attention LIST      of auto, math, flash, efficient (LibTorch's kernels)
  --device D            auto (a GPU if there is one), cpu or cuda: run.device
  --batch N             pictures a draw (8), shared out over --threads (default: all cores)
  --repeats N           timed draws a row (5); --warmup N: passes before them (3)
  --reference K         steps of the reference (1000); 0: none
  --weights FILE        other weights than those of the newest checkpoint
  --seed N              of the noise (default: run.seed)
  --inception W         FID as well, of --fid-images N pictures (1000) against --fid-reference train | validation |
                        a folder | shards; --features D: 2048, 768, 192 or 64
  --profile             a table of operators for each precision and attention
  --output FILE         all figures as .json, .csv, or a page with charts (.html)
  --json                one line of JSON, last on stdout

Ctrl-C ends it and prints the rows that are done (exit 75).
)";

const char* const kFid = R"(lockstep fid A B [flags]

Examples
  lockstep fid photos generated --inception weights/inception.safetensors
  lockstep fid datasets/cifar10/train-*.h5 samples --inception W.safetensors --json
  lockstep fid photos --inception W.safetensors --save photos.safetensors    keep the statistics of one side
  lockstep fid photos.safetensors generated --inception W.safetensors

A and B: a folder of PNG and JPEG files (recursive), pictures in HDF5 (folder, shard or pattern, in quotes), or a
.safetensors file with `features` [N, D], or `mu`, `sigma` and maybe `n`, or pytorch-fid's .npz with `mu` and `sigma`.
Under mpirun all ranks share the work.

Flags
  --inception W         FID's Inception weights: scripts/convert inception makes the file
  --features D          2048 (the default), 768, 192 or 64
  --resize R            pytorch (as pytorch-fid) or clean (as clean-fid)
  --threads N           on this machine (default: all cores)
  --device D            where Inception computes: auto (a GPU if there is one), cpu or cuda
  --tf32                on GPUs, products in TF32: faster, scores differ in the fourth digit
  --skip-unread         score a folder without its pictures of other formats and its dead links (else exit 4)
  --json                {"fid", "kid", "n_a", "n_b", "device"} as the last line; --times: feature_seconds, score_seconds
)";

const char* const kReport = R"(lockstep report RUN... [--output FILE]

Examples
  lockstep report runs/sudoku_quickstart                 writes RUN/report.html
  lockstep report runs/a runs/b --output compare.html    runs side by side

The page holds everything: curves, scores, pictures, config, machine. It needs no network.
It also writes TensorBoard's file beside it: tensorboard --logdir RUN
)";

const char* const kRuns = R"(lockstep runs [FOLDER] [flags]

Examples
  lockstep runs                    all runs below runs/
  lockstep runs --sort validation_loss    the best first
  lockstep runs elsewhere --json   one line of JSON a run, with numbers

Flags
  --sort COLUMN         date, step, loss, time, size (largest or newest first, losses smallest) or a score
  --json                run, state, dry_run, step, steps, loss, scores, started, seconds, bytes

State: running, done, stopped (go on with resume), failed, or dead (killed with its launcher).
)";

const char* const kLogs = R"(lockstep logs RUN [flags]

Examples
  lockstep logs runs/sudoku_quickstart                   the rank that failed, else rank 0
  lockstep logs runs/sudoku_quickstart --rank 1 --lines 50

Flags
  --rank R              that rank's log
  --attempt N           of an earlier attempt (default: the last)
  --lines N             the last N lines only
  --follow, -f          goes on with new lines until the run ends
)";

const char* const kData = R"(lockstep data make|convert|inspect|verify|show ...

Examples
  lockstep data make shapes datasets/shapes     pictures to try image models on
  lockstep data convert sudoku-csv puzzles.csv datasets/puzzles
  lockstep data convert image-folder photos datasets/photos size=64
  lockstep data inspect datasets/sudoku/train-00000.h5
  lockstep data verify datasets/sudoku          every byte against its hash
  lockstep data show datasets/sudoku            some samples

lockstep data make --help and data convert --help list the kinds, data make KIND --help its keys.
)";

const char* const kConfig = R"(lockstep config show|keys|schema|explain CONFIG [key=value ...]

Examples
  lockstep config keys                                   every key: type, default, limits, meaning
  lockstep config keys train                             those of one section
  lockstep config show my.yaml train.steps=100           resolved, each value with its source
  lockstep config explain my.yaml optimizer.lr           where a value came from
  lockstep config schema                                 JSON Schema, for editors
)";

const char* const kForward =
    R"(lockstep forward CONFIG --weights W --inputs I --output O [flags] [key=value ...]

Examples
  lockstep forward my.yaml --weights model.safetensors --inputs in.safetensors --output out.safetensors
  lockstep forward my.yaml --weights model.safetensors --inputs in.safetensors --output out.safetensors --gradients

Runs the model on tensors from a safetensors file: for checking it against another framework. With run.device=cuda on a GPU.
)";

const char* const kExport =
    R"(lockstep export RUN|CHECKPOINT|CONFIG --output FILE [flags] [key=value ...]

Examples
  lockstep export runs/cifar10 --output ema.safetensors                    averaged weights, upstream's names
  lockstep export runs/cifar10 --weights model --output last.safetensors   the last weights
  lockstep export runs/cifar10 --output unet.onnx                          the network, open batch
  lockstep export runs/cifar10 --output unet.onnx --trtexec --bf16 --batches 1,16,64
  lockstep export runs/cifar10 --format diffusers --output folder 'sampler={kind: dpmpp_2m, steps: 20}'
  lockstep export schedule configs/images/cifar10.yaml --output schedule.safetensors

Formats
  safetensors           weights of any task, by the names of their own framework
  onnx                  image_diffusion (unet, class_unet): opset 17, one file below 2 GB, above with FILE.data
  diffusers             image_diffusion: a folder for DiffusionPipeline.from_pretrained(..., trust_remote_code=True)
  export schedule       the 13 buffers of a Gaussian diffusion (betas, alphas_cumprod, ... loss_weight), float32

Flags
  --format F            without it the output's extension decides
  --weights W           ema (the default of a run that has them), model, initial, or a .safetensors file
  --force               replace what is there
  --guidance            onnx, class_unet: guidance_scale as an input
  --external-data       onnx: tensors into FILE.data, whatever the size
  --trtexec [--fp16|--bf16] [--batches MIN,BEST,MAX]
                        onnx: print TensorRT's command line, and run it if trtexec is on the PATH

To lucidrains' Trainer and back: scripts/convert to-lucidrains and from-lucidrains. All of it: docs/export.md
)";

const char* const kOptimize = R"(lockstep optimize --inputs I --output O [key=value ...]

Examples
  lockstep optimize --inputs steps.safetensors --output out.safetensors optimizer.kind=adamw optimizer.lr=1e-3

Runs an optimizer on parameters (param.NAME) and gradients (grad.K.NAME) from a safetensors file. With run.device=cuda
by the update that a GPU's steps run.
)";

const char* const kPack = R"(lockstep pack --lengths FILE --capacity T [flags]

Examples
  lockstep pack --lengths lengths.txt --capacity 2048
  lockstep pack --lengths lengths.npy --capacity 8192 --algorithm first_fit --json
  lockstep pack --lengths lengths.npy --capacity 8192 --max-documents 64 --output plan.safetensors

Which documents share a row of T tokens. FILE has one whole number a line, or is a one-dimensional .npy array.

Flags
  --algorithm A         best_fit_decreasing (the default), first_fit, next_fit or none (one document a row)
  --max-documents D     of a row (default: as many as fit)
  --output FILE         the plan, as safetensors: order (document numbers, pack after pack) and offsets (packs + 1)
  --threads N           default: all cores
  --json                packs, fill, lower_bound, seconds (planning alone) as one line
)";

const char* const kEnv = R"(lockstep env [--json]

Examples
  lockstep env                     versions and machine, a line each
  lockstep env --json              one line of JSON

Prints versions, processor, memory and MPI: paste it into a bug report.
)";

}  // namespace lockstep::help
