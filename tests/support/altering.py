"""Alterations of a session's answers: how to change an answer, and which answers to change."""

from collections.abc import Callable

from server.contract.signature import Answer

Change = Callable[[Answer], Answer]
Alter = Callable[[list[Answer]], list[Answer]]


def only_first(change: Change, *, batch_rows: int) -> Alter:
    """Change the first answer of the first batch of `batch_rows` rows."""
    done: list[bool] = []

    def alter(answers: list[Answer]) -> list[Answer]:
        if done or len(answers) != batch_rows:
            return answers
        done.append(True)
        return [change(answers[0]), *answers[1:]]

    return alter


def relabel(answer: Answer) -> Answer:
    return answer._replace(label="Iris-nova")


def shift(by: float, place: int) -> Change:
    def change(answer: Answer) -> Answer:
        return answer._replace(
            probabilities=tuple(p + by if at == place else p for at, p in enumerate(answer.probabilities))
        )

    return change


def by_batch(change: Change) -> Alter:
    """Change the first answer of each batch of more than one row."""

    def alter(answers: list[Answer]) -> list[Answer]:
        return [change(answers[0]), *answers[1:]] if len(answers) > 1 else answers

    return alter


def after(answers_before: int, alter: Alter) -> Alter:
    """Apply an alteration only after a number of answers has passed."""
    given = [0]

    def late(answers: list[Answer]) -> list[Answer]:
        given[0] += len(answers)
        return alter(answers) if given[0] > answers_before else answers

    return late
