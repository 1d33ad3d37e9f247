package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// autoConf is read last: what stands at its end holds.
const autoConf = "postgresql.auto.conf"

// tame makes the instance keep to itself, whatever the practice or somebody who broke into it had configured: no archive, no
// network, no replication to or from anywhere, no library and no command of theirs, no work in the background. What the
// restore wrote about recovery stays.
func (i *Instance) tame() error {
	settings := [][2]string{
		{"unix_socket_directories", `"` + strings.ReplaceAll(i.cluster.SocketDir, `"`, `""`) + `"`}, {"port", fmt.Sprint(i.cluster.Port)},
		{"listen_addresses", ""}, {"ssl", "off"}, {"hot_standby", "off"},
		{"archive_mode", "off"}, {"archive_command", ""}, {"archive_library", ""}, {"archive_cleanup_command", ""}, {"recovery_end_command", ""},
		{"primary_conninfo", ""}, {"primary_slot_name", ""}, {"synchronous_standby_names", ""}, {"max_logical_replication_workers", "0"},
		{"shared_preload_libraries", ""}, {"session_preload_libraries", ""}, {"local_preload_libraries", ""},
		{"autovacuum", "off"}, {"logging_collector", "off"}, {"log_destination", "stderr"}, {"statement_timeout", "0"}, {"default_transaction_read_only", "off"},
	}
	if i.o.Bin.Major >= 17 {
		settings = append(settings, [2]string{"event_triggers", "off"}, [2]string{"summarize_wal", "off"})
	}
	var b strings.Builder
	b.WriteString("\n# Written by practicectl for as long as it looks at this copy.\n")
	for _, s := range settings {
		fmt.Fprintf(&b, "%s = '%s'\n", s[0], strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s[1]))
	}
	f, err := os.OpenFile(filepath.Join(i.o.Data, autoConf), os.O_APPEND|os.O_WRONLY, 0) // a restore always writes it
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
