"""How large a model is, part by part, for the start of a run."""

from torch import nn

_BYTES_PER_PARAMETER = 4


def summarise(model: nn.Module) -> str:
    """One line per part: parameters, those trained, and megabytes in fp32."""
    rows = [("model", *_count(model))]
    for name, part in _parts(model):
        rows.append((name, *_count(part)))
    lines = [f"{'part':<34}{'parameters':>12}{'trained':>12}{'MB':>8}"]
    for name, total, trained in rows:
        lines.append(f"{name:<34}{total:>12,}{trained:>12,}{total * _BYTES_PER_PARAMETER / 2**20:>8.2f}")
    return "\n".join(lines)


def _parts(model: nn.Module, prefix: str = "", depth: int = 2) -> list[tuple[str, nn.Module]]:
    parts = []
    for name, child in model.named_children():
        parts.append((prefix + name, child))
        if depth > 1 and name == "base_model":
            parts += _parts(child, "  ", depth - 1)
    return parts


def _count(module: nn.Module) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)
