"""Wrong command lines and configurations, each with a part of the line that the user reads, by how far they get.

Rows of `FILES` and `WORDS` are refused before torch is imported, those of `OPTIONS` by the parser and by the checks of
parsed settings, those of `BUILT` when data, model or trainer are made, and those of `STARTED` when training starts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """A configuration that cannot be taken.

    Attributes:
        name: name of the case.
        content: what is in the file.
        message: part of the line.
    """

    name: str
    content: bytes
    message: str


def text(name: str, content: str, message: str) -> BadFile:
    return BadFile(name=name, content=content.encode(), message=message)


ALIASES = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES = [
    text(
        "doubled section", "trainer: {max_steps: 1}\ntrainer: {max_steps: 2}\n", "gives trainer twice, in line 1 and in"
    ),
    text(
        "doubled setting",
        "trainer:\n  max_steps: 1\n  max_steps: 2\n",
        "gives max_steps twice, in line 2 and in line 3",
    ),
    text("doubled deep setting", "a:\n- b:\n    c: 1\n    c: 1\n", "gives c twice, in line 3 and in line 4"),
    text("doubled quoted setting", "trainer: {max_steps: 1, 'max_steps': 2}\n", "gives max_steps twice"),
    text("doubled in JSON", '{"trainer": {"max_steps": 1, "max_steps": 2}}', "gives max_steps twice"),
    BadFile(
        name="UTF-16", content="trainer: {max_steps: 1}".encode("utf-16"), message="byte 0 is 0xff); save it as UTF-8"
    ),
    BadFile(
        name="Latin-1", content="# \xfc\ntrainer: {}".encode("latin-1"), message="no text in UTF-8 (byte 2 is 0xfc)"
    ),
    BadFile(name="binary", content=bytes(range(256)), message="is no text in UTF-8"),
    BadFile(name="zeros", content=b"\0" * 10, message="character '\\x00' in line 1"),
    BadFile(name="large", content=b"#" * 1_000_001, message="has 1000001 bytes, and a configuration has at most"),
    text("bell", "# fine\n# \a\n", "character '\\x07' in line 2"),
    text("tab", "trainer:\n\tmax_steps: 1\n", "found character '\\t' that cannot start any token in line 2"),
    text("empty", "", "is empty; write settings"),
    text("comment", "# nothing yet\n", "is empty; write settings"),
    text("null", "null\n", "is empty; write settings"),
    text("list", "- a\n- b\n", "must hold settings such as `model:` and `data:`, and holds a list"),
    text("word", "hello\n", "and holds a str"),
    text("number", "3\n", "and holds a int"),
    text("date", "a: 2001-99-99\n", "is not valid YAML: month must be in 1..12"),
    text("deep", f"a: {'[' * 3000}{']' * 3000}", "is nested too deeply"),
    text("aliases", ALIASES, "stands for more than 100000 values"),
    text("endless alias", "a: &a [*a]\n", "the alias in line 1 contains itself"),
    text("unknown alias", "a: *b\n", "found undefined alias"),
    text(
        "python object",
        "a: !!python/object/apply:os.system ['true']\n",
        "could not determine a constructor for the tag",
    ),
    text("two documents", "a: 1\n---\na: 2\n", "but found another document in line 2"),
    text("list as key", "? [a, b]\n: 1\n", "found unhashable key"),
    text("number as key", "1: 2\n", "1 is no name of a setting"),
    text("open bracket", "model:\n  class_path: [StyleGAN\n", "is not valid YAML: "),
    text("indentation", "model:\n  class_path: A\n init_args: {}\n", "is not valid YAML: "),
    text("empty model", "model:\n", "`model:` holds no settings but None"),
    text("number as model", "model: 5\n", "`model:` holds no settings but 5"),
    text("list as trainer", "trainer: [1, 2]\n", "`trainer:` holds no settings but [1, 2]"),
]

WORDS = [
    ("fitt", "fitt is none of the commands fit, validate, test, "),
    ("--config tiny.yaml", "--config is none of the commands"),
    ("fit --config", "--config needs a value"),
    ("fit --config=", "--config needs a value"),
    ("fit --config --name a", "--config needs a value"),
    ("fit --config none.yaml", "there is no configuration none.yaml, neither here nor in the package"),
    ("fit --config tinny", "there is no configuration tinny"),
    ("fit --config .", "--config .: this is a folder; give a file of settings in it"),
    ("fit --config /dev/null", "this is no regular file"),
    ("fit --config tiny.yaml --images", "--images needs a value"),
    ("fit --config tiny.yaml --images nowhere --image_size=-3", "--image_size -3: give the width and height in pixels"),
    ("fit --config tiny.yaml --images nowhere", "nowhere does not exist; give a folder of images or a zip"),
    ("fit --config tiny.yaml --images tiny.yaml", "tiny.yaml is neither a folder nor a complete zip"),
    ("fit --config tiny.yaml --labels", "--labels is for --images"),
    ("prepare", "prepare needs source, destination"),
    ("prepare nowhere there", "nowhere does not exist; give a folder of images or a zip"),
    ("prepare nowhere there --image_size x", "x is no int"),
    ("configs tinny", "there is no configuration tinny"),
    ("configs --all", "configs --all: give one name, such as addons/r1.yaml, or none"),
    ("fit --config https://example.com/a.yaml", "there is no configuration https://example.com/a.yaml"),
    ("fit --config {a:[}", "--config is not valid YAML"),
    ("fit --config {}", "--config is empty"),
    ("fit --config tiny.yaml --name", "--name needs a value"),
    ("fit --config tiny.yaml --name=", "--name needs a value"),
    (
        "fit --config tiny.yaml --name a/b",
        "--name a/b: the name of a run is the name of a folder in runs/, without slashes",
    ),
    ("fit --config tiny.yaml --name a\\b", "without slashes"),
    ("fit --config tiny.yaml --name .", "the name of a run is the name of a folder"),
    ("fit --config tiny.yaml --name ..", "the name of a run is the name of a folder"),
    ("fit --config tiny.yaml --name=-a", "nor begin with a dash"),
    (f"fit --config tiny.yaml --name {'n' * 201}", "the name has 201 bytes; give at most 200"),
    ("fit --config tiny.yaml --name a\x07b", "has a character that cannot be printed"),
    ("fit --config tiny.yaml --data={'a':1,'a':2}", "--data gives a twice, in line 1 and in line 1"),
    ("fit --config tiny.yaml --ckpt_path", "--ckpt_path needs a value"),
    ("fit --config tiny.yaml --ckpt_path none.ckpt", "none.ckpt"),
]

T = "fit --config tiny.yaml"

OPTIONS = [
    ("fit", "fit needs data and model; give for example --config stylegan.yaml"),
    (f"{T} --foo", "foo is no option of fit"),
    (f"{T} -x", "x is no option of fit"),
    (f"{T} stray", "stray is no option of fit"),
    (f"{T} --optimizer Adam", "optimizer is no option of fit"),
    (f"{T} --trainer.max_step 3", "did you mean trainer.max_steps?"),
    (f"{T} --trainer.max_steps", "--trainer.max_steps needs a value"),
    (f"{T} --trainer.max_steps --trainer.devices 1", "--trainer.max_steps needs a value"),
    (f"{T} --trainer.max_steps 1.5", "trainer.max_steps: 1.5 is no int"),
    (f"{T} --trainer.max_steps many", "trainer.max_steps: many is no int"),
    (f"{T} --trainer foo", "trainer: foo is no group of settings"),
    (f"{T} --trainer.benchmark 3", "trainer.benchmark: 3 is no bool"),
    (f"{T} --trainer.detect_anomaly maybe", "trainer.detect_anomaly: maybe is no bool"),
    (
        f"{T} --trainer.callbacks+=NonFinite --trainer.callbacks.policy=rollback",
        "trainer.callbacks.policy: rollback is none of stop, skip, roll_back; did you mean roll_back?",
    ),
    (f"{T} --trainer.precision 8", "trainer.precision: 8 is none of 64, 32, 16, "),
    (f"{T} --trainer.plugins foo", "trainer.plugins: there is no class foo"),
    (f"{T} --trainer.logger 5", "trainer.logger: there is no class 5"),
    (f"{T} --trainer.callbacks=nonsense", "trainer.callbacks: there is no class nonsense"),
    (f"{T} --trainer.callbacks+=torch.nn.Linear", "trainer.callbacks: torch.nn.Linear is no Callback"),
    (f"{T} --trainer.callbacks+=none.Such", "trainer.callbacks: there is no module none"),
    (f"{T} --trainer.callbacks+=R1 --trainer.callbacks.gamma=nan", "callbacks.gamma: nan is not a finite number"),
    (f"{T} --trainer.callbacks+=StopAtKimg --trainer.callbacks.total_kimg=inf", "inf is not a finite number"),
    (
        f"{T} --trainer.callbacks+=StopAtKimg --trainer.callbacks.total_kimg=.inf",
        "total_kimg=inf is not a finite number",
    ),
    (f"{T} --R1.gamma nan", "callbacks.gamma: nan is not a finite number"),
    (f"{T} --R1.gamma={{a:[}}", "is no float"),
    (f"{T} --R1.weight_schedule 5", "there is no class 5"),
    (f"{T} --R2.gamma 1", "R2 is not in this configuration; --trainer.callbacks+=R2 adds it"),
    (f"{T} --r1.gamma 1", "did you mean R1?"),
    (f"{T} --trainer.callbacks.gamma 1", "does not say which callback is meant; give --R1.gamma"),
    (f"{T} --trainer.gradient_clip_val 1", "give --model.training.generator_clip_norm and"),
    (f"{T} --trainer.accumulate_grad_batches 2", "cut it with --model.training.accumulate_slices"),
    (f"{T} --trainer.overfit_batches 1", "trainer.overfit_batches=1: training data are an endless stream"),
    (f"{T} --trainer.limit_train_batches 0", "trainer.limit_train_batches=0 trains nothing"),
    (f"{T} --trainer.val_check_interval 0", "trainer.val_check_interval=0: give the number of batches"),
    (f"{T} --trainer.check_val_every_n_epoch 0", "trainer.check_val_every_n_epoch=0 must be at least 1"),
    (f"{T} --trainer.log_every_n_steps 0", "trainer.log_every_n_steps=0 must be at least 1"),
    (f"{T} --trainer.log_every_n_steps=-1", "trainer.log_every_n_steps=-1 must be at least 1"),
    (f"{T} --trainer.num_nodes 0", "trainer.num_nodes=0 must be at least 1"),
    (f"{T} --trainer.devices 99999", "trainer.devices=99999: on CPU it is the number of processes"),
    (f"{T} --trainer.devices 0", "trainer.devices=0 is no device to run on"),
    (f"{T} --trainer.devices x", "trainer.devices=x: give a number, a list of numbers such as [0,1]"),
    (
        f"{T} --trainer.devices=[0]",
        "trainer.devices=[0]: on CPU it is the number of processes; give --trainer.devices=1",
    ),
    (f"{T} --seed_everything=-1", "seed_everything=-1: a seed is a number from 0 to 4294967295"),
    (f"{T} --seed_everything=8589934592", "seed_everything=8589934592: a seed is a number from 0"),
    (f"{T} --seed_everything=one", "one is no bool or int"),
    (f"{T} --model torch.nn.Linear", "model: torch.nn.Linear is no GAN"),
    (f"{T} --model GAN", "GAN needs generator, discriminator"),
    (f"{T} --data StyleGAN", "data: StyleGAN is no LightningDataModule"),
    (f"{T} --data ImageFolder", "data: ImageFolder needs path; give --data.path"),
    (f"{T} --data.image_size=null", "data.image_size=null: Digits needs a value of type int"),
    (f"{T} --data.image_size 8.5", "data.image_size: 8.5 is no int"),
    (f"{T} --model.latent_dim=null", "model.latent_dim=null: StyleGAN needs a value of type int"),
    (f"{T} --model.truncation_layers abc", "model.truncation_layers: abc is no int"),
    (f"{T} --model.style_mixing .nan", "model.style_mixing=nan is not a finite number"),
    (f"{T} --model.style_mixing nan", "model.style_mixing: nan is not a finite number"),
    (f"{T} --model.parts 7", "model.parts: 7 is no group of settings"),
    (f"{T} --model.training 5", "model.training: 5 is no group of settings"),
    (f"{T} --model.training.loss 5", "model.training.loss: there is no class 5"),
    (f"{T} --model.training.compile perhaps", "model.training.compile: perhaps is no bool"),
    (f"{T} --model.training.discriminator_clip_norm nan", "discriminator_clip_norm: nan is not a finite number"),
    (f"{T} --model.training.generator_optimizer.lr nan", "generator_optimizer.lr: nan is not a finite number"),
    (f"{T} --model.training.generator_optimizer.betas 5", "generator_optimizer.betas: 5 is no list"),
    (f"{T} --model.training.generator_optimizer torch.optim.Nope", "torch.optim has no Nope"),
    ("fit test --config tiny.yaml", "test is no option of fit"),
]

BUILT = [
    (f"{T} --data.batch_size 0", "batch_size=0 must be at least 1"),
    (f"{T} --data.number_of_workers=-1", "number_of_workers=-1 must not be negative"),
    (f"{T} --data.image_channels 0", "image_channels=0: the digits are grey"),
    (f"{T} --model.latent_dim 0", "latent_dim=0 must be at least 1"),
    (f"{T} --model.latent_dim=-3", "latent_dim=-3 must be at least 1"),
    (f"{T} --model.style_dim 0", "style_dim=0 must be at least 1"),
    (f"{T} --model.channel_base 0", "channel_base=0 must be at least 1"),
    (f"{T} --model.channel_max=-4", "channel_max=-4 must be at least 1"),
    (f"{T} --model.number_of_classes=-1", "model.number_of_classes=-1, but Digits has number_of_classes=10"),
    (f"{T} --model.training.discriminator_turns=-1", "discriminator_turns=-1 must not be negative"),
    (f"{T} --model.training.accumulate_slices 0", "accumulate_slices=0 must be at least 1"),
    (f"{T} --model.training.generator_clip_norm 0", "generator_clip_norm=0.0 must be positive"),
    (f"{T} --model.training.generator_optimizer.lr=-1", "training.generator_optimizer: lr=-1.0 must be at least 0"),
    (f"{T} --model.training.generator_optimizer.betas=[1.5,0]", "betas=(1.5, 0.0) must be two numbers"),
    (f"{T} --model.training.discriminator_optimizer.eps=-1", "training.discriminator_optimizer: eps=-1.0 must be"),
    (
        f"{T} --model.training.generator_optimizer torch.optim.SGD --model.training.generator_optimizer.momentum=-1",
        "training.generator_optimizer: Invalid momentum value: -1.0",
    ),
    (f"{T} --model.training.generator_optimizer torch.optim.LBFGS", "LBFGS cannot take the steps of a turn"),
    (f"{T} --model.training.generator_optimizer torch.optim.SparseAdam", "SparseAdam cannot take the steps of a turn"),
    (f"{T} --trainer.callbacks+=EMA --trainer.callbacks.half_life_kimg=-1", "half_life_kimg=-1.0"),
    (f"{T} --trainer.callbacks+=EMA --trainer.callbacks+=EMA", "trainer.callbacks: EMA is given twice"),
    (
        f"{T} --trainer.callbacks+=KimgCheckpoint --trainer.callbacks.every_kimg=0",
        "every_kimg=0.0 is less than one image",
    ),
    (
        f"{T} --trainer.max_epochs 1",
        "trainer.max_epochs=1: Digits is an endless stream without epochs; give --trainer.max_steps",
    ),
    (f"{T} --trainer.min_epochs 1", "trainer.min_epochs=1: Digits is an endless stream"),
    (f"{T} --trainer.limit_train_batches 0.5", "trainer.limit_train_batches=0.5: Digits is an endless stream"),
    (f"{T} --trainer.val_check_interval 0.5", "trainer.val_check_interval=0.5: Digits is an endless stream"),
    (f"{T} --trainer.max_steps=-1", "nothing ends this training; give --trainer.callbacks+=StopAtKimg"),
    (f"{T} --trainer.max_steps=-5", "max_steps"),
    (f"{T} --trainer.max_time abc", "abc"),
    (f"{T} --trainer.accelerator gpux", "gpux"),
    (f"{T} --trainer.strategy ddpp", "strategy='ddpp'"),
    (f"{T} --trainer.logger lightning.pytorch.loggers.CometLogger", "pip install 'comet-ml'"),
    (f"{T} --trainer.logger lightning.pytorch.loggers.MLFlowLogger", "pip install 'mlflow'"),
    (f"{T} --trainer.profiler foo", "profiler"),
    (f"{T} --trainer.precision 16-true", "precision=16-true rounds the weights to 16 bits"),
    (f"{T} --trainer.precision bf16-true", "precision=bf16-true rounds the weights to 16 bits"),
    (f"{T} --trainer.callbacks+=TQDMProgressBar", "TQDMProgressBar"),
    (f"{T} --data ImageFolder --data.path nowhere", "nowhere does not exist"),
    (f"{T} --model PPO", "observation_size"),
    (f"{T} --trainer.default_root_dir /proc/none", "/proc/none"),
]

STARTED = [
    (f"{T} --model.training.accumulate_slices 3", "cannot be cut into"),
]
