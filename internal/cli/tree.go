package cli

import "github.com/spf13/cobra"

// commands is the command tree below the root, in the order of the help. A command that is not built does not exist.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.installCmd(),
		a.uninstallCmd(),
		a.group("component", "List, add, remove and verify components", "Components are the parts of the product on this machine: database, server, client and its modules, practicectl itself.",
			a.componentListCmd(), a.componentInfoCmd(), a.componentAddCmd(), a.componentRemoveCmd(), a.componentVerifyCmd()),
		a.group("agent", "Supervise services where systemd does not", "The agent keeps the services of an instance running and runs its scheduled jobs.",
			a.agentRunCmd()),
		a.group("schedule", "Run jobs by themselves", "Nightly backups and other jobs, as systemd timers, in the crontab or in the agent.",
			a.scheduleInstallCmd(), a.scheduleListCmd(), a.scheduleRemoveCmd()),
		a.group("demo", "Try the whole product on this machine", "A vendor, a mirror and a practice on one machine, below one folder.",
			a.demoUpCmd(), a.demoDownCmd()),
		a.group("key", "Make, replace and check the keys of the backups", "Backups are encrypted to recipients (public keys); restoring needs an identity (a private key) that is kept off this host.",
			a.keyGenerateCmd(), a.keyListCmd(), a.keyAddCmd(), a.keyRotateCmd(), a.keyAcceptCmd(), a.keyCheckCmd()),
		a.group("backup", "Take, list and verify encrypted snapshots", "Snapshots of the database and the configuration in a folder or an S3 bucket, encrypted so that this host cannot read them.",
			a.backupInitCmd(), a.backupRunCmd(), a.backupListCmd(), a.backupShowCmd(), a.backupVerifyCmd(), a.backupPruneCmd(),
			a.group("hold", "Keep single snapshots longer than the rest", "A hold keeps a snapshot from being pruned until a day: for a court, or for peace of mind.",
				a.backupHoldAddCmd(), a.backupHoldListCmd(), a.backupHoldRemoveCmd()), a.backupCopyCmd(), a.backupHealCmd()),
		a.group("restore", "Bring a snapshot back", "A restore lays a snapshot into a new folder and proves it, or brings a stopped database back in place with a way back.",
			a.restorePlanCmd(), a.restoreRunCmd(), a.restoreUndoCmd()),
		a.group("drill", "Prove that the backups can be restored", "A drill restores a snapshot only to prove that it works, measures it, and leaves signed evidence.",
			a.drillRunCmd(), a.drillListCmd(), a.drillReportCmd()),
		a.group("config", "Show and check the configuration", "The one configuration file of an instance, practice.toml.",
			a.configShowCmd(), a.configValidateCmd()),
		a.group("db", "Make, start and stop the database", "The PostgreSQL cluster of an instance. It is reached only through its unix socket.",
			a.dbInitCmd(), a.dbStartCmd(), a.dbStopCmd(), a.dbStatusCmd()),
		a.group("user", "Add and list the people who can sign in", "Accounts of the practice. Only the first is made on the server host itself; afterwards administrators sign in to add others.",
			a.userAddCmd(), a.userListCmd()),
		a.group("update", "Bring the installed version to a newer one, or back", "Updates come from the release source of the instance, are verified end to end and switch all components in one step.",
			a.updateCheckCmd(), a.updateApplyCmd(), a.updateRollbackCmd(), a.updateHistoryCmd()),
		a.group("mirror", "Keep and serve a copy of the releases for this network", "A mirror holds no keys and needs no trust: it verifies what it copies, and every client verifies again.",
			a.mirrorInitCmd(), a.mirrorSyncCmd(), a.mirrorServeCmd(), a.mirrorStatusCmd()),
		a.group("release", "Make, sign and publish releases (vendor only)", "Everything the vendor does to a release: keys, ceremony, build, signatures, publication.",
			a.releaseKeygenCmd(), a.releaseCeremonyCmd(), a.releaseBuildCmd(), a.releaseSignCmd(), a.releasePublishCmd(), a.releaseVerifyCmd()),
		a.statusCmd(),
		a.doctorCmd(),
		a.versionCmd(),
		a.completionCmd(),
		a.manCmd(),
	}
}
