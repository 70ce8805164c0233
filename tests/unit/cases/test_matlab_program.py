"""What a case file computes: expected values are what MATLAB's documentation says, or numpy's own answer."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.arrays import CaseDataError
from cases.matlab_program import run_case_file


def run(text: str):
    return run_case_file("test.m", text)


def value(expression: str, before: str = ""):
    return run(f"{before}\nmpc.v = {expression};\n")["v"]


X = "x = [1 2; 3 4];"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[1 -2]", [[1, -2]]),
        ("[1 - 2]", [[-1]]),
        ("[1-2]", [[-1]]),
        ("[1 -2 + 3]", [[1, 1]]),
        ("[1, 2\n 3, 4;]", [[1, 2], [3, 4]]),
        ("[1 2; % comment ]\n\n 3 4]", [[1, 2], [3, 4]]),
        ("[1 2 ... joined\n 3; 4 5 6]", [[1, 2, 3], [4, 5, 6]]),
        ("[1 2\n%{\n9 9\n%}\n3 4]", [[1, 2], [3, 4]]),
        ("[x' x']", [[1, 3, 1, 3], [2, 4, 2, 4]]),
        ("[x(1, :) 5]", [[1, 2, 5]]),
        ("[x (1)]", None),
        ("[]", np.zeros((0, 0))),
        ("[[]; x; 5 6]", [[1, 2], [3, 4], [5, 6]]),
        ("-2^2", [[-4]]),
        ("2^-1", [[0.5]]),
        ("2^3^2", [[64]]),
        ("1 + 2 * 3 - 4 / 2", [[5]]),
        ("x'", [[1, 3], [2, 4]]),
        ("x * x", [[7, 10], [15, 22]]),
        ("x .* x", [[1, 4], [9, 16]]),
        ("12 ./ x", [[12, 6], [4, 3]]),
        ("x .^ 2", [[1, 4], [9, 16]]),
        ("x / 2", [[0.5, 1], [1.5, 2]]),
        ("1 / 0", [[np.inf]]),
        ("x - [1; 2]", [[0, 1], [1, 2]]),
        ("x(:)'", [[1, 3, 2, 4]]),
        ("x(end, :)", [[3, 4]]),
        ("x(end)", [[4]]),
        ("x(2, [2 1])", [[4, 3]]),
        ("x(:, end:-1:1)", [[2, 1], [4, 3]]),
        ("x(x > 2)'", [[3, 4]]),
        ("x(x(:, 1) == 3, 2)", [[4]]),
        ("find(x == 4 | x == 1)'", [[1, 4]]),
        ("~(x > 1) & x < 5", [[True, False], [False, False]]),
        ("1:4", [[1, 2, 3, 4]]),
        ("5:-2:1", [[5, 3, 1]]),
        ("3:1", np.zeros((1, 0))),
        ("size(0:0.1:1, 2)", [[11]]),
        ("1e3 + 1d2 + .5 + 5.", [[1105.5]]),
        ("[Inf -Inf]", [[np.inf, -np.inf]]),
        ("zeros(2, 3)", np.zeros((2, 3))),
        ("ones(2) + eye(2)", [[2, 1], [1, 2]]),
        ("diag([1 2])", [[1, 0], [0, 2]]),
        ("diag(x)", [[1], [4]]),
        ("size(x)", [[2, 2]]),
        ("length(ones(3, 7)) + numel(x)", [[11]]),
        ("sum(x)", [[4, 6]]),
        ("sum(x, 2)", [[3], [7]]),
        ("max(x(:)) - min([5 6 7])", [[-1]]),
        ("repmat([1 2], 2, 1)", [[1, 2], [1, 2]]),
        ("round([0.5 -0.5 2.5 0.49999999999999994])", [[1, -1, 3, 0]]),
        ("floor(pi) + ceil(pi) + fix(-pi)", [[4]]),
        ("abs(-3) + sqrt(16) + exp(0) + log(1)", [[8]]),
    ],
)
def test_expressions_have_the_value_that_matlab_gives_them(expression, expected):
    if expected is None:  # a name, a blank and a bracket are two entries: a matrix beside a number
        with pytest.raises(CaseDataError, match="2 by 2, 1 by 1 side by side"):
            value(expression, X)
        return
    found = value(expression, X)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == np.shape(expected)


def test_a_power_factor_becomes_reactive_power():
    """sin(acos(pf)) = sqrt(1 - pf^2)."""
    found = value("mpc.p * sin(acos(pf))", "pf = 0.85; mpc.p = 2;")
    # Two functions of a number near 1, each rounded once.
    np.testing.assert_allclose(found, [[2.0 * np.sqrt(1.0 - 0.85**2)]], rtol=1e-15)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("mpc.v = [1 2]; mpc.v = [3 4];", [[3, 4]]),
        ("mpc.v = [1 2]; mpc.v = [mpc.v; 3 4];", [[1, 2], [3, 4]]),
        ("mpc.v = [1 2]; mpc.v(end + 1, :) = [3 4];", [[1, 2], [3, 4]]),
        ("mpc.v = [1 2]; mpc.v(3) = 5;", [[1, 2, 5]]),
        ("mpc.v(2, 3) = 1;", [[0, 0, 0], [0, 0, 1]]),
        ("mpc.v = eye(2); mpc.v(:, 1) = [7 8];", [[7, 0], [8, 1]]),
        ("mpc.v = eye(2); mpc.v(:, [1 2]) = mpc.v(:, [2 1]) * 3;", [[0, 3], [3, 0]]),
        ("mpc.v = eye(2); mpc.v(mpc.v == 0) = 9;", [[1, 9], [9, 1]]),
        ("mpc.v = [1 2; 3 4; 5 6]; mpc.v([1 3], :) = [];", [[3, 4]]),
        ("mpc.v = [1 2 3]; mpc.v(2) = [];", [[1, 3]]),
        ("mpc.v = [1 2]; other = mpc.v; other(1) = 9;", [[1, 2]]),
        ("mpc.v = [1 2]; mpc.v(1) = mpc.v(2), mpc.v(2) = 7", [[2, 7]]),
        ("mpc.v = 1; return; mpc.v = 2; for", [[1]]),
        ("mpc.v = 1; %{ no block\nmpc.v = 2;", [[2]]),
        ("%{\n%{\nmpc.v = 1;\n%}\nmpc.v = 2;\n%}\nmpc.v = 3;", [[3]]),
        ("define_constants; mpc.v = [PD QD BR_X PMAX REF COST];", [[3, 4, 4, 9, 3, 5]]),
        ("[PQ, PV, REF, ~, ...\n BUS_I] = idx_bus; mpc.v = [REF BUS_I];", [[3, 1]]),
        ("mpc.name = {'it''s', \"b]\"; 'c' 4}; mpc.a.b = 'x'; mpc.v = 1;", [[1]]),
    ],
)
def test_statements_are_carried_out_in_order(statements, expected):
    np.testing.assert_array_equal(run(statements)["v"], expected)


def test_a_function_may_have_a_head_a_comment_before_it_and_an_end():
    text = "% a case\n%{\nfunction no = no\n%}\n\nfunction s = grid()\ns.version = '2';\ns.v = 1;\nend\n\n% end\n"
    assert run(text)["version"] == "2"


def test_a_case_of_the_first_version_returns_its_matrices_one_by_one():
    found = run("function [base, b] = old\nbase = 50;\nb = [1 2];\n")
    np.testing.assert_array_equal(found["baseMVA"], [[50.0]])
    np.testing.assert_array_equal(found["bus"], [[1.0, 2.0]])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(line_end):
    found = run(f"mpc.v = [1 2{line_end}3 4];{line_end}% last{line_end}")
    np.testing.assert_array_equal(found["v"], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mpc.v = 1;\nfor k = 1:3\nend", "line 2: the statement for"),
        ("mpc.v = 1;\nif true, mpc.v = 2; end", "line 2: the statement if"),
        ("mpc.v = loadcase('case9');", "line 1: the function loadcase"),
        ("mpc.v = 1;\nmpc = scale(mpc);", "line 2: the function scale"),
        ("mpc.v = 1;\n\ndisp('hello')", "line 3: disp"),
        ("mpc.v = 1;\nclear all", "line 2: all after clear"),
        ("mpc.v = 1; mpc.(x) = 1;", "( where a name belongs"),
        ("mpc.v = {1}; mpc.v{1} = 2;", "{ after mpc.v"),
        ("mpc.v = {1}; mpc.w = mpc.v{1};", "an entry of the cells mpc.v"),
        ("mpc.v = 1; other = mpc;", "a copy of a whole structure"),
        ("mpc.v = 1; mpc.v.w = 2;", "a field of v"),
        ("mpc.v = @(x) x;", "the character '@'"),
        ("mpc.v = 3 + 4i;", "4i, no number"),
        ("mpc.v = O.1;", "the name O"),
        ("mpc.v = 1.2.3;", "no number"),
        ("mpc.v = 1 2;", "2 after a statement"),
        ("mpc.v = [1 2\n3 4\n5];", "line 3: a row of 1 entries after rows of 2"),
        ("mpc.v = [1,,2];", ", without an entry before it"),
        ("mpc.v = [1 2;\n", "line 1: [ that is never closed"),
        ("mpc.v = (1\n+ 2);", "line 1: a line that ends inside of ( )"),
        ("mpc.v = 1);", ") that closes nothing"),
        ("mpc.v = 'abc;\n", "a string without its closing '"),
        ("mpc.v = 1;\n%{\nmpc.v = 2;", "line 2: a block comment"),
        ("mpc.v = sqrt(-1);", "a number that is not from 0"),
        ("mpc.v = (-8) ^ 0.5;", "a root of a negative number"),
        ("mpc.v = [1 2] * [3 4];", "1 by 2 times 1 by 2"),
        ("mpc.v = [1 2] + [1 2 3];", "1 by 2 + 1 by 3"),
        ("mpc.v = [1 2] / [3 4];", "/ between matrices"),
        ("mpc.v = [1 2]; mpc.w = mpc.v(3);", "entry 3 of a matrix that has 2"),
        ("mpc.v = [1 2]; mpc.w = mpc.v(0);", "entry 0"),
        ("mpc.v = [1 2]; mpc.w = mpc.v(1.5);", "entry 1.5"),
        ("mpc.v = [1 2]; mpc.v(1, :) = [1 2 3];", "1 by 3 values for a place of 1 by 2"),
        ("mpc.v = eye(2); mpc.v(1, 1) = [];", "takes out neither whole rows"),
        ("mpc.v = 1; mpc.v(1, 1, 1) = 2;", "an index of 3 parts"),
        ("mpc.v = end;", "end outside of an index"),
        ("pi = 3;", "the name of the function pi"),
        ("mpc.v = ~[1 NaN];", "NaN taken as true or false"),
        ("mpc.v = 'text' + 1;", "a text where a number"),
        ("mpc.v = zeros(1e9);", "a matrix of 1000000000 by 1000000000"),
        ("mpc.v = 1:1e12;", "more than 4,000,000 entries"),
        ("mpc.v(1e9) = 1;", "more than 4,000,000 entries"),
        ("x = ones(1, 3000); mpc.v = x' * x;", "a matrix of 3000 by 3000"),
        ("x = ones(1, 3000); mpc.v = x' + x;", "a matrix of 3000 by 3000"),
        ("mpc.v = repmat(ones(1000), 10, 10);", "a matrix of 10000 by 10000"),
        ("x = ones(1500); y = x * x; mpc.v = y * y;", "more arithmetic than any case file needs"),
        ("mpc.v = " + "(" * 1000 + "1" + ")" * 1000 + ";", "more than 30 brackets within each other"),
        ("mpc.v = " + "[" * 1000 + "1" + "]" * 1000 + ";", "more than 30 brackets within each other"),
        ("mpc" + ".a" * 20 + " = 1;", "a field within"),
        ("function mpc = one\nmpc.v = 1;\nend\nfunction mpc = two", "line 4: function after the end"),
        ("function one\nmpc.v = 1;", "a file that returns no case"),
        ("mpc = 3;", "a file that returns no case"),
        ("mpc.v = 1;\xa0", r"the character '\xa0'"),
        ("[a, b] = size(1);", "several values from size"),
        ("[a, b] = idx_cost; [" + "a, " * 40 + "b] = idx_cost;", "41 values from idx_cost"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_in_one_line_with_its_place(text, message):
    with pytest.raises(CaseDataError) as refusal:
        run(text)
    refused = str(refusal.value)
    assert message in refused
    assert refused.startswith("test.m, line ")
    assert "\n" not in refused
    assert refused.endswith("load the case in MATPOWER, write it out with savecase and open that file.")


def test_long_chains_of_operators_need_no_deep_stack():
    """Five thousand terms; Python's own stack ends at a thousand calls."""
    assert value("1" + " + 1" * 5_000)[0, 0] == 5_001.0
    assert value("-" * 5_000 + "1")[0, 0] == 1.0
    assert value("[1 2]" + "'" * 5_000).shape == (1, 2)


# Random small programs against numpy: literals, then arithmetic on them and entries written.
NUMBERS = st.integers(-9, 9).map(float) | st.sampled_from([0.5, 0.25, 1.5e-3, -2.5e2])


@st.composite
def programs(draw):
    """Text of a program and the matrix it leaves in mpc.v."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))

    def literal(n_row, n_column):
        matrix = np.array([[draw(NUMBERS) for _ in range(n_column)] for _ in range(n_row)])
        blank = draw(st.sampled_from([" ", "\t", ", ", " ,", " ... joined\n  "]))
        end = draw(st.sampled_from([";", "\n", ";\n", "; % comment\n", "\n% 1 2 3\n"]))
        return "[" + end.join(blank.join(repr(float(v)) for v in row) for row in matrix) + "]", matrix

    text, matrix = literal(rows, columns)
    lines = [f"mpc.v = {text};"]
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(
            st.sampled_from(["scale", "add", "row", "column", "entry", "rows", "turn", "times", "drop"])
        )
        rows, columns = matrix.shape
        k = draw(st.integers(0, rows - 1))
        j = draw(st.integers(0, columns - 1))
        number = draw(NUMBERS)
        if kind == "scale":
            lines.append(f"mpc.v = mpc.v * {number!r} + -{abs(number)!r};")
            matrix = matrix * number - abs(number)
        elif kind == "add":
            text, other = literal(rows, columns)
            lines.append(f"mpc.v = mpc.v - {text} .* mpc.v;")
            matrix = matrix - other * matrix
        elif kind == "row":
            text, other = literal(1, columns)
            lines.append(f"mpc.v = [mpc.v; {text}];")
            matrix = np.vstack([matrix, other])
        elif kind == "column":
            text, other = literal(rows, 1)
            lines.append(f"mpc.v = [{text} mpc.v];")
            matrix = np.hstack([other, matrix])
        elif kind == "entry":
            lines.append(f"mpc.v({k + 1}, {j + 1}) = {number!r};")
            matrix = matrix.copy()
            matrix[k, j] = number
        elif kind == "rows":
            lines.append(f"mpc.v({k + 1}:end, :) = mpc.v(end:-1:{k + 1}, :);")
            matrix = np.vstack([matrix[:k], matrix[k:][::-1]])
        elif kind == "turn":
            lines.append("mpc.v = mpc.v';")
            matrix = matrix.T
        elif kind == "times":
            text, other = literal(columns, 2)
            lines.append(f"%{{\nmpc.v = 0;\n%}}\nmpc.v = mpc.v * {text};")
            matrix = matrix @ other
        elif rows > 1:
            lines.append(f"mpc.v({k + 1}, :) = [];")
            matrix = np.delete(matrix, k, axis=0)
    return "function mpc = random\n" + "\n".join(lines) + "\n", matrix


@settings(max_examples=150, deadline=None)
@given(programs())
def test_a_random_program_leaves_what_numpy_leaves(program):
    text, expected = program
    # A product's sums may be taken in another order when a matrix lies otherwise in memory: 4 terms, a few
    # roundings of entries that are at most as large as the largest.
    largest = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(run(text)["v"], expected, rtol=1e-12, atol=1e-12 * largest)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="mpc.v=[](){};:,'\"%+-*/^&|~<>123 \n\tend", max_size=60))
def test_no_text_does_anything_but_give_a_case_or_be_refused(text):
    with contextlib.suppress(CaseDataError):
        run("mpc.v = [1 2; 3 4];\n" + text)
