package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// Many accounts are extended and blocked from the shell, with the service running: what is left out is left alone, and whom
// a job could not do is named.
func TestJobsByShell(t *testing.T) {
	m := newMachine(t, "")
	for _, name := range []string{"ann", "bob", "cat"} {
		m.addUser(name + "@example.com")
	}
	m.stile("user", "add", "dan@example.com") // has no subscription
	m.stile("user", "add", "eve@other.example")
	m.stile("plan", "add", "forever", "--days", "0")
	m.stile("user", "add", "fay@example.com", "--plan", "forever") // has no end
	begun := m.stile("job", "start", "extend", "--days", "7", "--all", "--search", "example.com", "--wait")
	if !strings.Contains(begun, "Job 1 (extend 7 days): done, 3 of 5 done, 2 refused") {
		t.Errorf("%s", begun)
	}
	if list := m.stile("job", "refusals", "1"); !strings.Contains(list, "dan@example.com") || !strings.Contains(list, "has no subscription") || strings.Contains(list, "ann") {
		t.Errorf("%s", list)
	} else if !strings.Contains(list, "fay@example.com") || !strings.Contains(list, "the subscription has no end") {
		t.Errorf("%s", list)
	}
	m.stile("job", "start", "block", "ann@example.com", "bob@example.com", "--wait")
	var jobs []struct {
		Action, State string
		Done, Refused int64
	}
	if err := json.Unmarshal([]byte(m.stile("job", "list", "--json")), &jobs); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 2 || jobs[0].Action != "block" || jobs[0].State != "done" || jobs[0].Done != 2 || jobs[1].Action != "extend" || jobs[1].Refused != 2 {
		t.Errorf("%+v", jobs)
	}
	if out := m.stile("user", "show", "cat@example.com"); strings.Contains(out, "blocked") {
		t.Errorf("%s", out)
	}
	if out := m.stile("user", "show", "bob@example.com"); !strings.Contains(out, "blocked") {
		t.Errorf("%s", out)
	}
	for args, want := range map[string]string{
		"job start block":                                 "name the accounts",
		"job start block ann@example.com --all":           "--all",
		"job start block nobody@example.com":              "no user nobody@example.com; `stile user list`",
		"job start extend --all":                          "days",
		"job start sign-out --all --days 3":               "--days is for extend: sign-out takes none",
		"job start extend --all --days 3 --plan standard": "--plan and --periods are for plan: extend takes none",
		"job start block --all --periods 1":               "--plan and --periods are for plan: block takes none",
		"job start block ann@example.com --search ann":    "choose among --all",
		"job start plan --all --plan nothing":             "plan",
		"job start block --all --plan-is nothing":         "no plan \"nothing\"",
		"job start block --all --expires-before tomorrow": "--expires-before: \"tomorrow\" is no instant",
		"job start dance --all":                           "must be one of",
		"job cancel 1":                                    "job 1 is over already",
		"job show 99":                                     "stile job list",
	} {
		if out := m.fails(strings.Fields(args)...); !strings.Contains(out, want) {
			t.Errorf("stile %s: want %q in\n%s", args, want, out)
		}
	}
}
