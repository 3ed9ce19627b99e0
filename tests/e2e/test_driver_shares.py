"""Memory handed to another process by each of the driver's ways: told with both sides, and counted once."""


def test_what_one_process_hands_out_and_another_opens_is_joined_and_counted_once(machine):
    out = machine.python("driver_shares.py", VGPU_LOG=str(machine.scratch), **machine.preload())
    expected = "importer: open\nimporter: closed\nends\n"
    assert (out.returncode, out.stdout) == (0, expected), out.stdout + out.stderr
