//go:build unix

package reload

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameSignal is how long a signal may repeat without being a second one: timeout(1) signals its
// child and then the child's group.
const sameSignal = 100 * time.Millisecond

func (s *supervisor) listenForSignals() {
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.hangups, syscall.SIGHUP)
	signal.Notify(s.signals, syscall.SIGTERM, os.Interrupt, syscall.SIGUSR2)
}

func (s *supervisor) stopSignals() {
	signal.Stop(s.children)
	signal.Stop(s.hangups)
	signal.Stop(s.signals)
}

func (s *supervisor) signaled(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.log.Info("reload asked for", "by", "signal")
		s.reload(nil)
	case syscall.SIGUSR2:
		s.log.Info("upgrade asked for", "by", "signal")
		s.upgradeSelf()
	case syscall.SIGTERM, os.Interrupt:
		s.stop(nil)
	}
}
