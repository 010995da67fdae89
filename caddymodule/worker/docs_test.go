package worker_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testsOfRows are the tests of what the table "What works" in docs/worker-mode.md says,
// by the beginning of the row.
var testsOfRows = map[string]string{
	"`frankenphp_handle_request()`":  "TestScript_Stop TestWorker_ServesAndStops TestWorker_DocumentedExampleOfFrankenPHP",
	"`$_GET`":                        "TestCompare_Superglobals TestCompare_SuperglobalsSettings",
	"`$_ENV`":                        "TestRequest_StateOfScript TestRequest_KeepsIncludes",
	"`request_parse_body()`":         "TestCompare_ParseBody",
	"`php://input`":                  "TestRequest_Bodies TestCompare_Superglobals TestWorker_Bodies",
	"uploads":                        "TestCompare_Forms TestCompare_FormsMutated TestRequest_Upload TestWorker_Bodies",
	"`header()`":                     "TestCompare_Output",
	"output buffers":                 "TestCompare_OutputUnbuffered TestRequest_Streams TestWorker_StreamsAndClientLeaves",
	"`fastcgi_finish_request()`":     "TestRequest_Finish TestRequest_EarlyHints",
	"`exit` and `die`":               "TestCompare_Output TestScript_Ends",
	"an uncaught exception":          "TestCompare_Output TestCompare_OutputDisplayErrors",
	"fatal error":                    "TestCompare_Output TestWorker_ScriptEndsInARequest TestScript_SoftTimeout",
	"`max_execution_time`":           "TestRequest_TimeLimit TestRequest_TimeLimitOfScript TestCompare_TimeLimit",
	"a segfault":                     "TestScript_Ends TestWorker_ScriptEndsInARequest",
	"`register_shutdown_function()`": "TestScript_ShutdownAtItsEnd TestCompare_Output",
	"native sessions":                "TestSession TestSession_Interleaved",
	"`error_log()`":                  "TestRequest_Log TestRequest_LogOfUser TestWorker_ErrorLog",
	"`connection_aborted()`":         "TestRequest_ClientLeaves TestWorker_ClientLeavesAtEachStage",
	"`filter_input()`":               "TestCompare_Superglobals TestRequest_HeadersOfFrankenPHP",
	"files, programs, fibers":        "TestCompare_Output",
	"`pcntl_fork()`":                 "TestScript_Fork",
	"`opcache_reset()`":              "TestRequest_OPcacheReset TestWorkerDeploy_OPcacheReset TestWorker_OPcacheFull",
	"`getenv('REMOTE_ADDR')`":        "TestRequest_NotOfThisRequest",
	"compression by PHP":             "TestRequest_NotOfThisRequest",
	"`PHP_SAPI`":                     "TestRequest_NotOfThisRequest",
	"`frankenphp_log()`":             "TestRequest_Log TestWorker_FrankenPHPLog",
	"`mercure_publish()`":            "TestRequest_NotOfThisRequest",
}

// TestDocs_EveryRowHasATest checks that nothing is said to work that is not tested.
func TestDocs_EveryRowHasATest(t *testing.T) {
	page, err := os.ReadFile("../../docs/worker-mode.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "../../e2e/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	_, table, _ := strings.Cut(string(page), "| feature | in worker mode |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	left := maps.Clone(testsOfRows)
	for row := range strings.Lines(table) {
		feature := strings.TrimPrefix(row, "| ")
		starts := slices.DeleteFunc(slices.Collect(maps.Keys(testsOfRows)), func(start string) bool { return !strings.HasPrefix(feature, start) })
		if len(starts) != 1 {
			t.Errorf("%d entries of testsOfRows are for the row %s", len(starts), row)
			continue
		}
		delete(left, starts[0])
		for name := range strings.FieldsSeq(testsOfRows[starts[0]]) {
			if !regexp.MustCompile(`(?m)^func ` + name + `\(`).MatchString(tests.String()) {
				t.Errorf("%s: there is no %s", starts[0], name)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("not in the table: %v", left)
	}
}
