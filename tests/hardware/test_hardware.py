from tests.toys import make_hardware


def test_denormal_numbers_count_as_zero() -> None:
    import torch

    make_hardware()
    smallest = torch.finfo(torch.float32).tiny
    assert (torch.full((64,), smallest) * 0.5).eq(0).all()
    assert (torch.full((64,), smallest) * 2).ne(0).all()
