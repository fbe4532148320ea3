"""The arithmetic of scripts/scaling, on runs whose figures are known. Wants scripts/lib on PYTHONPATH."""

import dataclasses
import pathlib
import tempfile
import unittest
import unittest.mock

from scaling import corpus, hosts, row, servers, speedup, table


def run(mode="weak", ranks=1, repeat=1, pages=100, reading=50.0, **more):
    """A run with five seconds before and after the reading, in which its servers were busy, else starting."""
    seconds = reading + 10
    run = row.Row(
        mode=mode, ranks=ranks, repeat=repeat, pages=pages, servers=ranks, seconds=seconds, start_seconds=5.0,
        first_page_seconds=6.0, reading_seconds=reading, end_seconds=5.0, busy=ranks * reading, idle_rendering=0.0,
        idle_no_pages=0.0, starting=ranks * 5.0, down=0.0, draining=0.0, outside=ranks * 5.0, sealing=0.1,
        cpu_seconds=3.0, cpu_share=0.1, host_busy=0.2, coordinator=0.005, other_main_threads=None, rank_zero=0.01,
    )  # fmt: skip
    return dataclasses.replace(run, **more)


class SpeedUp(unittest.TestCase):
    def test_weak_scaling_with_twice_the_pages_in_the_same_time_is_perfect(self):
        one, two = speedup.points([run(), run(ranks=2, pages=200)], "weak")
        self.assertEqual((one.efficiency.median, two.efficiency.median), (1.0, 1.0))
        self.assertEqual((one.serial_fraction, two.serial_fraction), (None, 0.0))

    def test_the_serial_fraction_of_amdahls_law_is_found_again(self):
        serial, runs = 0.05, []
        for ranks in (1, 4, 16):
            runs.append(run("strong", ranks, reading=100 * (serial + (1 - serial) / ranks)))
        for point in speedup.points(runs, "strong")[1:]:
            self.assertAlmostEqual(point.serial_fraction, serial)
            self.assertAlmostEqual(point.speed_up.median, 1 / (serial + (1 - serial) / point.ranks))

    def test_repeats_are_held_against_the_median_of_the_fewest_ranks(self):
        runs = [run(repeat=number, reading=seconds) for number, seconds in enumerate((40.0, 50.0, 100.0))]
        runs += [run(ranks=2, repeat=number, reading=seconds) for number, seconds in enumerate((25.0, 50.0))]
        one, two = speedup.points(runs, "weak")
        self.assertEqual(one.efficiency, speedup.Spread(1.0, 0.5, 1.25))
        self.assertEqual(two.efficiency, speedup.Spread(0.75, 0.5, 1.0))
        self.assertEqual(two.whole_efficiency.least, 0.5)

    def test_without_a_run_of_one_rank_the_fewest_count_as_perfect(self):
        four, eight = speedup.points([run(ranks=4, pages=400), run(ranks=8, pages=600)], "weak")
        self.assertEqual((four.speed_up.median, eight.speed_up.median), (4.0, 6.0))

    def test_modes_do_not_mix_and_parts_are_shares_of_all_seconds(self):
        runs = [run(), run("strong", ranks=2, reading=30.0)]
        (point,) = speedup.points(runs, "strong")
        self.assertAlmostEqual(sum(point.parts.values()), 1.0)
        self.assertAlmostEqual(point.parts["busy"], 0.75)
        self.assertEqual(speedup.points(runs[:1], "strong"), [])


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_rows_survive_the_file(self):
        runs = [run(), run("strong", ranks=2, coordinator=None)]
        for each in runs:
            row.append(self.folder / "runs.csv", each)
        self.assertEqual(row.read(self.folder / "runs.csv"), runs)

    def test_the_table_shows_spread_and_what_was_not_measured(self):
        page = table.page([run(), run(ranks=2, pages=150), run(ranks=2, pages=200, repeat=2, coordinator=None)], "# Title")
        self.assertIn("| 2 | 2 | 175 | 50.0 | 3.50 | 1.75 (1.50 to 2.00) | 0.875 (0.750 to 1.000) |", page)
        self.assertIn("| 2 | 0.5 % | - | 1.0 % |", page)
        self.assertNotIn("Strong", page)

    def test_documents_that_do_not_suffice_are_copied_and_all_differ(self):
        (self.folder / "in").mkdir()
        for name, pages in (("a.pdf", b"1"), ("b.PDF", b"33"), ("broken.pdf", b"")):
            (self.folder / "in" / name).write_bytes(pages)

        def count(path):
            return {"a": 1, "b": 2}.get(path.stem[0], 0) if path.stem != "broken" else 0

        documents = corpus.gather(self.folder / "in", self.folder / "copies", 8, count)
        self.assertEqual([number for _, number in documents], [1, 2, 1, 2, 1, 2])
        self.assertEqual(len({path.read_bytes() for path, _ in documents}), 6)
        paths, pages = corpus.first(documents, 5)
        self.assertEqual((len(paths), pages), (4, 6))
        with self.assertRaises(corpus.CorpusError):
            corpus.gather(self.folder / "copies" / "none", self.folder, 1, count)

    def test_a_host_takes_as_many_ranks_as_the_file_or_the_option_says(self):
        file = self.folder / "nodes"
        file.write_text("n1\nn2\nn1\n")
        self.assertEqual(hosts.places(file, None, 3), ["n1", "n2", "n1"])
        self.assertEqual(hosts.places(file, 2, 3), ["n1", "n1", "n2", "n2"])
        with self.assertRaisesRegex(hosts.HostsError, "have places for 4 ranks, not 5"):
            hosts.places(file, 2, 5)

    def test_a_synthetic_server_takes_its_time_by_the_token(self):
        text = servers.synthetic(self.folder, rate=10.0).read_text()
        self.assertIn(f'"--step-per-sequence", "{round(100_000 / servers.TOKENS_A_PAGE)}"', text)


class Reaching(unittest.TestCase):
    """How mpirun reaches other hosts of a PBS job. Programs are those of a folder of the test."""

    def chosen(self, programs, names=("localhost", "elsewhere")):
        with tempfile.TemporaryDirectory() as folder:
            for name, script in {"mpirun": "", **programs}.items():
                path = pathlib.Path(folder, name)
                path.write_text(f"#!/bin/sh\n{script}\n")
                path.chmod(0o755)
            path = f"{folder}:/usr/bin:/bin"
            with unittest.mock.patch.dict("os.environ", {"PATH": path, "PBS_JOBID": "1.pbs", "PBS_CONF_FILE": "/none"}):
                return hosts.agent(list(names), "mpirun")

    def test_pbs_starts_the_ranks_where_it_can(self):
        self.assertIsNone(self.chosen({"ssh": "exit 1"}, ["localhost"]))
        self.assertIsNone(self.chosen({"ompi_info": "echo mca:plm:tm:version:4", "ssh": "exit 1"}))
        self.assertEqual(self.chosen({"pbs_tmrsh": ""}), str(hosts.TMRSH_AGENT))

    def test_a_host_that_does_not_answer_is_named(self):
        self.assertIsNone(self.chosen({"ompi_info": "", "ssh": ""}))
        with self.assertRaisesRegex(hosts.HostsError, "elsewhere does not answer ssh"):
            self.chosen({"ompi_info": "", "ssh": "exit 255"})


if __name__ == "__main__":
    unittest.main()
