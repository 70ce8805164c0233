"""What the validation of the power flow found, as lines of text."""

from __future__ import annotations

from grid_model.validation.power_flow_checks import ValidationReport

HEAVIEST = 5  # circuits listed


def report_lines(variant: str, result: ValidationReport, *, buses: bool) -> list[str]:
    """The summary of one variant, after its bus table if asked for."""
    case, number = result.case, result.case.bus.bus_number
    low, high = int(result.vm_pu.argmin()), int(result.vm_pu.argmax())
    outside = int(((result.vm_pu < case.bus.vm_min_pu) | (result.vm_pu > case.bus.vm_max_pu)).sum())
    generation_mw = result.total_load_mw + result.losses_mw
    heaviest = ", ".join(
        f"{case.branch.name[k]} {result.loading_percent[k]:.1f} %" for k in result.heaviest(HEAVIEST)
    )
    whose = " (ratings are this project's own)" if case.name.startswith("ieee68") else ""
    return [
        f"== {variant}: {case.n_bus} buses, {case.n_branch} circuits, single slack {slack_name(result)}",
        *(bus_lines(result) if buses else ()),
        f"   load        {result.total_load_mw:10.1f} MW {result.total_load_mvar:10.1f} Mvar",
        f"   generation  {generation_mw:10.1f} MW",
        f"   losses      {result.losses_mw:10.1f} MW  ({100.0 * result.losses_mw / generation_mw:.2f} %)",
        f"   slack       {result.slack_p_mw:10.1f} MW {result.slack_q_mvar:10.1f} Mvar",
        f"   voltage     {result.vm_pu[low]:.4f} pu at bus {number[low]} to {result.vm_pu[high]:.4f} pu "
        f"at bus {number[high]}; {outside} buses outside their band",
        f"   heaviest    {heaviest} of rate A{whose}",
        *(
            f"   {'ok    ' if check.holds else 'FAILED'}      {check.what} {check.value:.2e} {check.unit}, "
            f"limit {check.limit:.2e}"
            for check in result.checks
        ),
    ]


def bus_lines(result: ValidationReport) -> list[str]:
    """Voltage, angle and deviations of every bus."""
    published, case = result.published, result.case
    beside = "   published vm, va      dv_pu   dva_degree" if published else ""
    lines = [f"   bus  area     vm_pu   va_degree{beside}   engine dv_pu  mismatch_mva"]
    for k, number in enumerate(case.bus.bus_number):
        area = case.area_names[int(case.bus.area[k])]
        line = f"   {number:3d}  {area:5s}  {result.vm_pu[k]:8.5f}  {result.va_degree[k]:9.4f}"
        if published is not None and result.dv_pu is not None and result.dva_degree is not None:
            line += f"   {published.vm_pu[k]:7.4f} {published.va_degree[k]:9.4f}"
            line += f"   {result.dv_pu[k]:8.1e}     {result.dva_degree[k]:8.1e}"
        lines.append(f"{line}   {result.engine_dv_pu[k]:12.1e}  {result.mismatch_mva[k]:12.1e}")
    return lines


def slack_name(result: ValidationReport) -> str:
    """Name and bus number of the slack machine."""
    machine = result.case.machine
    bus = machine.bus[machine.slack_machine]
    return f"{machine.name[machine.slack_machine]} at bus {result.case.bus.bus_number[bus]}"
