package cli

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// When a signal has ended the program's context, a second one is not taken by the listener of the first: it would be lost there.
func TestASecondSignalIsNotTaken(t *testing.T) {
	others := make(chan os.Signal, 1) // or the second would end the tests
	signal.Notify(others, os.Interrupt)
	defer signal.Stop(others)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	interrupt := func() {
		if err := self.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-others
	}
	for range 100 {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt)
		ctx := endedBy(signals)
		interrupt()
		<-ctx.Done()
		interrupt()
		if len(signals) > 0 {
			t.Fatal("the second signal was taken and lost")
		}
	}
}
