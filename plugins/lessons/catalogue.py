"""The lessons: what is run, what was published, and what must hold. Data, no code beyond comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zoo_plugins.lessons.lesson import Claim, Lesson, Outcomes, Row

NOTES = "the notes that the lesson follows (MNIST, 60,000 images, 3 epochs), after Geron, Hands-on machine learning"
CHANCE = 0.2
"""Below this accuracy ten classes are told apart no better than by chance (0.1), with room for a lucky test split."""


def _at_least(label: str, accuracy: float) -> Callable[[Outcomes], bool]:
    return lambda found: found[label].mean_test >= accuracy


def _chance(label: str) -> Callable[[Outcomes], bool]:
    return lambda found: found[label].mean_test < CHANCE


def _above(label: str, other: str, *, by: float = 0.0) -> Callable[[Outcomes], bool]:
    return lambda found: found[label].mean_test > found[other].mean_test + by


def _smaller_gap(label: str, other: str) -> Callable[[Outcomes], bool]:
    return lambda found: found[label].gap < found[other].gap


SCALING = Lesson(
    title="Scaling of the input, and batch normalisation: an MLP (He), SGD 0.01 with Nesterov's momentum",
    source=NOTES,
    base=("experiment=lesson/scaling",),
    rows=(
        Row("raw pixels 0 to 255", ("model.pixels=raw",), "0.095"),
        Row("raw pixels, batch norm", ("model.pixels=raw", "model.norm=batch", "model.norm_epsilon=0.001"), "0.96"),
        Row("scaled to 0 to 1", ("model.pixels=unit",), "0.96"),
        Row("raw pixels, Adam 0.001", ("model.pixels=raw", "optimizer=adam", "optimizer.lr=0.001")),
    ),
    claims=(
        Claim("raw pixels without batch norm collapse to chance", _chance("raw pixels 0 to 255")),
        Claim("batch norm mends that", _at_least("raw pixels, batch norm", 0.9)),
        Claim("so does scaling", _at_least("scaled to 0 to 1", 0.9)),
        Claim(
            "Adam does not collapse on raw pixels: scaling matters by optimizer",
            _at_least("raw pixels, Adam 0.001", 0.8),
        ),
    ),
    remark="4,000 images instead of 60,000: the same number of updates, and about 3 points less for the good rows.",
)

OPTIMIZERS = Lesson(
    title="Optimizers and their rates: an MLP on scaled digits",
    source=NOTES,
    base=("experiment=lesson/optimizers",),
    rows=(
        Row("Adam 0.1", ("optimizer=adam", "optimizer.lr=0.1"), "0.092"),
        Row("Adam 0.01", ("optimizer=adam", "optimizer.lr=0.01"), "loss 1.8, then 0.26"),
        Row("Adam 0.001", ("optimizer=adam", "optimizer.lr=0.001")),
        Row("Nadam 0.002", ("optimizer=nadam", "optimizer.lr=0.002"), "0.95"),
        Row("SGD 0.01, Nesterov", (), "0.95"),
        Row("SGD 0.01, no momentum", ("optimizer.momentum=0", "optimizer.nesterov=false")),
    ),
    claims=(
        Claim("Adam at 0.1 is far too fast", _above("Adam 0.001", "Adam 0.1", by=0.05)),
        Claim("Nadam at 0.002 is good", _at_least("Nadam 0.002", 0.9)),
        Claim("SGD at 0.01 with Nesterov's momentum is good", _at_least("SGD 0.01, Nesterov", 0.9)),
        Claim("momentum helps SGD", _above("SGD 0.01, Nesterov", "SGD 0.01, no momentum")),
    ),
    remark="Adam at 0.01 comes out better here: its losses, 1.8 and then 0.26, are those of one unlucky published run.",
)

MOONS = Lesson(
    title="No rate fits all data: the same MLP on two moons, 1,000 points of two features",
    source="the lesson's own remark: moons want about 0.1",
    base=("experiment=lesson/moons",),
    rows=tuple(Row(f"SGD {rate}", (f"optimizer.lr={rate}",)) for rate in ("0.001", "0.01", "0.1")),
    claims=(Claim("0.1 is better than 0.001 here", _above("SGD 0.1", "SGD 0.001")),),
    seeds=3,
)

SCHEDULE_NAMES = ["constant", "step", "exponential", "power", "piecewise", "cosine", "linear", "one_cycle", "plateau"]

SCHEDULES = Lesson(
    title="Learning-rate schedules on the same budget: SGD with Nesterov's momentum from 0.05",
    source="no figures are published for it; Geron, chapter 11, describes the schedules",
    base=("experiment=lesson/schedules",),
    rows=tuple(Row(name, (f"schedule={name}",)) for name in SCHEDULE_NAMES),
    claims=(
        Claim("a rate that falls ends better than a constant one: step", _above("step", "constant")),
        Claim("and so with a cosine", _above("cosine", "constant")),
    ),
    remark="With eight epochs, exponential and power as they are set by default fall too early.",
    compare="constant",
    seeds=5,
)

AUGMENTATIONS = Lesson(
    title="Augmentations, each alone: LeNet-5 on 200 digits of 8 px",
    source="no figures are published for it",
    base=("experiment=lesson/augmentations",),
    rows=(
        Row("none"),
        *(
            Row(name, (f"augmentations=[{name}]",))
            for name in ("translate", "rotate", "flip", "scale", "crop", "intensity", "noise")
        ),
    ),
    claims=(
        Claim("shifts help", _above("translate", "none")),
        Claim("mirroring harms: a mirrored digit is another sign", _above("none", "flip")),
    ),
    compare="none",
    seeds=5,
    remark="color_jitter has no effect on gray images, and zoo refuses it; intensity stands in for it.",
)

XOR = Lesson(
    title="XOR: what one linear layer cannot learn, and a hidden layer can",
    source="Minsky and Papert 1969: at most 3 of the 4 points, 0.75",
    base=("experiment=lesson/xor",),
    rows=(
        Row("perceptron", ("model=perceptron", "loss=perceptron"), "at most 0.75"),
        Row("MLP, 8 hidden units", ("model=mlp", "model.hidden=[8]"), "1.00"),
    ),
    claims=(
        Claim("the perceptron cannot", lambda found: max(found["perceptron"].train) <= 0.8),
        Claim("the MLP can", _at_least("MLP, 8 hidden units", 0.99)),
    ),
    seeds=3,
    columns=("train", "test"),
)

REGULARIZATION = Lesson(
    title="Dropout, L1 and L2: the gap between training and test, an MLP on 500 digits",
    source="no figures are published for it; Geron, chapter 11",
    base=("experiment=lesson/regularization",),
    rows=(
        Row("none"),
        Row("dropout 0.5", ("model.dropout=0.5",)),
        Row("L1", ("regularizers=[l1]", "regularizers.l1.factor=0.001")),
        Row("L2", ("regularizers=[l2]", "regularizers.l2.factor=0.01")),
    ),
    claims=(
        Claim("dropout narrows the gap", _smaller_gap("dropout 0.5", "none")),
        Claim("L1 narrows it", _smaller_gap("L1", "none")),
        Claim("L2 narrows it", _smaller_gap("L2", "none")),
    ),
    remark="A smaller gap is no better test: these digits are easy, and penalties that narrow it cost a little.",
    compare="none",
    seeds=5,
    columns=("train", "test", "gap"),
)

INITIALISATION = Lesson(
    title="Starting values and activations: ten hidden layers, SGD 0.01 with Nesterov's momentum",
    source="no figures are published for it; arXiv:1502.01852 and Glorot and Bengio 2010",
    base=("experiment=lesson/initialisation",),
    rows=(
        Row("He, ReLU", ("model.init=he_normal", "model.activation=relu")),
        Row("He, ELU", ("model.init=he_normal", "model.activation=elu")),
        Row("Xavier, tanh", ("model.init=xavier_normal", "model.activation=tanh")),
        Row("Xavier, sigmoid", ("model.init=xavier_normal", "model.activation=sigmoid")),
        Row("He, sigmoid, batch norm", ("model.init=he_normal", "model.activation=sigmoid", "model.norm=batch")),
    ),
    claims=(
        Claim("ten sigmoid layers do not learn: their gradients vanish", _chance("Xavier, sigmoid")),
        Claim("ELU with He's values learns", _at_least("He, ELU", 0.85)),
        Claim("batch norm lets sigmoids learn", _above("He, sigmoid, batch norm", "Xavier, sigmoid", by=0.3)),
    ),
)

DEFAULT_DNN = Lesson(
    title="The textbook's default: He, ELU, batch norm, dropout, Nesterov, no schedule",
    source=NOTES,
    base=("experiment=lesson/default_dnn",),
    rows=(Row("default_dnn"),),
    claims=(Claim("it learns the digits", _at_least("default_dnn", 0.92)),),
)

LESSONS: Mapping[str, Lesson] = {
    "scaling": SCALING,
    "optimizers": OPTIMIZERS,
    "moons": MOONS,
    "schedules": SCHEDULES,
    "augmentations": AUGMENTATIONS,
    "xor": XOR,
    "regularization": REGULARIZATION,
    "initialisation": INITIALISATION,
    "default_dnn": DEFAULT_DNN,
}
