// Package unit writes systemd unit files: the product's services and timers with one hardening baseline. Pure text.
package unit

import (
	"fmt"
	"strings"
	"time"
)

// Service is what a service unit says beyond the baseline.
type Service struct {
	Description string
	After       []string // unit names
	User        string   // empty in a user's own systemd
	Command     []string // absolute program, then its arguments
	Env         []string
	Dir         string
	Oneshot     bool          // a job: runs to its end, at low priority
	StopSignal  string        // such as "SIGINT"; empty: SIGTERM
	StartWithin time.Duration // 0: no limit
	StopWithin  time.Duration // 0: systemd's default
	Writable    []string      // folders; everything else is read-only
	Network     Network
	NeverKill   bool // the out-of-memory killer takes everything else first
}

// Network is what a service may talk to.
type Network int

// The networks.
const (
	Anywhere  Network = iota // object stores and mirrors have any address
	LocalNet                 // this machine and private networks
	Localhost                // this machine
)

// baseline scores below 2.0 ("OK") in systemd-analyze security. Just-in-time compilation of PostgreSQL is off, so that
// memory need not be writable and executable.
const baseline = `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
CapabilityBoundingSet=
UMask=0077
`

// String returns the unit file.
func (s Service) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by practicectl. Local changes belong in a drop-in: systemctl edit UNIT")
	line("[Unit]\nDescription=%s", escape(s.Description))
	if len(s.After) > 0 {
		line("After=%s", strings.Join(s.After, " "))
		line("Wants=%s", strings.Join(s.After, " "))
	}
	if !s.Oneshot {
		line("StartLimitIntervalSec=10min\nStartLimitBurst=5")
	}
	line("\n[Service]")
	if s.Oneshot {
		line("Type=oneshot\nNice=10\nIOSchedulingClass=idle")
	} else {
		line("Type=exec\nRestart=on-failure\nRestartSec=2s")
	}
	if s.User != "" {
		line("User=%s", s.User)
	}
	for _, e := range s.Env {
		line("Environment=%s", Quote(e))
	}
	if s.Dir != "" {
		line("WorkingDirectory=%s", escape(s.Dir))
	}
	line("ExecStart=%s", CommandLine(s.Command))
	if s.StopSignal != "" {
		line("KillSignal=%s", s.StopSignal)
	}
	line("TimeoutStartSec=%s", span(s.StartWithin, "infinity"))
	if s.StopWithin > 0 {
		line("TimeoutStopSec=%s", span(s.StopWithin, ""))
	}
	if s.NeverKill {
		line("OOMScoreAdjust=-900")
	}
	if s.User != "" { // a user's own systemd cannot grant these
		b.WriteString(baseline)
		for _, w := range s.Writable {
			line("ReadWritePaths=%s", Quote(w))
		}
		switch s.Network {
		case Localhost:
			line("IPAddressDeny=any\nIPAddressAllow=localhost")
		case LocalNet:
			line("IPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10")
		}
	} else {
		line("NoNewPrivileges=yes\nUMask=0077")
	}
	if !s.Oneshot {
		line("\n[Install]\nWantedBy=%s", target(s.User))
	}
	return b.String()
}

func target(user string) string {
	if user == "" {
		return "default.target"
	}
	return "multi-user.target"
}

// Timer is a timer unit that starts the service of the same name. A missed run is made up for, and the hosts of a
// practice do not all start at once.
type Timer struct {
	Description string
	OnCalendar  string
	Spread      time.Duration
}

// String returns the unit file.
func (t Timer) String() string {
	return fmt.Sprintf(`# Written by practicectl. Local changes belong in a drop-in: systemctl edit UNIT
[Unit]
Description=%s

[Timer]
OnCalendar=%s
Persistent=true
RandomizedDelaySec=%s
FixedRandomDelay=yes
AccuracySec=1m

[Install]
WantedBy=timers.target
`, escape(t.Description), t.OnCalendar, span(t.Spread, "0"))
}

func span(d time.Duration, zero string) string {
	if d <= 0 {
		return zero
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// CommandLine writes a command for ExecStart.
func CommandLine(command []string) string {
	quoted := make([]string, len(command))
	for i, a := range command {
		quoted[i] = strings.ReplaceAll(Quote(a), "$", "$$")
	}
	return strings.Join(quoted, " ")
}

// Quote writes one word: systemd's own escapes, and specifiers taken literally.
func Quote(word string) string {
	word = escape(word)
	if word != "" && !strings.ContainsAny(word, " \t\n\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(word) + `"`
}

func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }
