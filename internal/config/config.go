// Package config is the one configuration file of an instance: TOML, typed, strict, validated. Only wiring imports it;
// product packages take plain options.
package config

// Schema is the version of the file format.
const Schema = 1

// File is practice.toml. It holds no secrets: those are files in the credential folder, named here.
type File struct {
	Schema   int      `toml:"schema" json:"schema"`
	Practice Practice `toml:"practice" json:"practice"`
	Database Database `toml:"database" json:"database"`
	Server   Server   `toml:"server" json:"server"`
	Update   Update   `toml:"update" json:"update"`
	Backup   Backup   `toml:"backup" json:"backup"`
	Drill    Drill    `toml:"drill" json:"drill"`
	Mirror   Mirror   `toml:"mirror" json:"mirror"`
	Agent    Agent    `toml:"agent" json:"agent"`
	Notify   Notify   `toml:"notify" json:"notify"`
	Metrics  Metrics  `toml:"metrics" json:"metrics"`
}

// Practice says whose instance this is.
type Practice struct {
	Name     string `toml:"name" json:"name"`
	Language string `toml:"language" json:"language"` // "de" or "en"
	Timezone string `toml:"timezone" json:"timezone"` // IANA name
	Currency string `toml:"currency" json:"currency"` // ISO 4217
}

// Database says which PostgreSQL runs the instance and how it is reached.
type Database struct {
	Provider string `toml:"provider" json:"provider"` // "system" or "bundled"
	Bin      string `toml:"bin" json:"bin"`           // folder of initdb, pg_ctl and postgres; empty: found by provider
	Port     int    `toml:"port" json:"port"`         // names the unix socket; TCP stays closed
	Name     string `toml:"name" json:"name"`
}

// Server is the core server.
type Server struct {
	Listen string `toml:"listen" json:"listen"` // host:port, HTTPS
	URL    string `toml:"url" json:"url"`       // what people and clients type
}

// Update says where releases come from.
type Update struct {
	Source  string   `toml:"source" json:"source"`   // URL or folder of a mirror or of the vendor's repository
	Channel string   `toml:"channel" json:"channel"` // "stable", "lts" or "beta"
	Mode    string   `toml:"mode" json:"mode"`       // "online", "lan" or "airgap": how long expired metadata is tolerated
	Keep    int      `toml:"keep" json:"keep"`       // old versions kept on disk
	Modules []string `toml:"modules" json:"modules"` // installed client modules
}

// Backup says what is saved, for whom and where to.
type Backup struct {
	Store       string   `toml:"store" json:"store"`       // "s3://bucket/prefix" or a folder
	Endpoint    string   `toml:"endpoint" json:"endpoint"` // "https://host:port" of an S3 store
	Region      string   `toml:"region" json:"region"`
	Credentials string   `toml:"credentials" json:"credentials"`       // file with access_key_id and secret_access_key; relative to the credential folder
	Recipients  []string `toml:"recipients" json:"recipients"`         // age public keys, at least two
	Paths       []string `toml:"paths" json:"paths"`                   // extra files and folders
	Limit       string   `toml:"limit" json:"limit"`                   // upload limit, such as "2MiB/s"; empty: none
	LimitHours  string   `toml:"limit_hours" json:"limit_hours"`       // when it holds, such as "mon-fri 07:00-19:00"; empty: always
	Stream      bool     `toml:"stream" json:"stream"`                 // the agent stores the write-ahead log while it is written
	Spool       string   `toml:"spool" json:"spool"`                   // what may wait on this disk while the store is away, such as "4GiB"; empty: a tenth of the free disk, at most 4 GiB
	FullEvery   int      `toml:"full_read_days" json:"full_read_days"` // days after which a backup reads every page, whatever the log says has changed
	Keep        Keep     `toml:"keep" json:"keep"`
	Copies      []Copy   `toml:"copy,omitempty" json:"copy"`
}

// Keep says how long snapshots are kept: the first one of each of so many days, ISO weeks and months.
type Keep struct {
	Daily     int `toml:"daily" json:"daily"`
	Weekly    int `toml:"weekly" json:"weekly"`
	Monthly   int `toml:"monthly" json:"monthly"`
	LeastDays int `toml:"least_days" json:"least_days"` // nothing younger is ever expired
	LogDays   int `toml:"log_days" json:"log_days"`     // any moment of so many days can be restored
}

// Copy is another store, which gets what the first one has: each [[backup.copy]].
type Copy struct {
	Name        string `toml:"name" json:"name"`                         // for commands and messages, such as "nas"
	Store       string `toml:"store" json:"store"`                       // as in [Backup]
	Endpoint    string `toml:"endpoint,omitempty" json:"endpoint"`       // as in [Backup]
	Region      string `toml:"region,omitempty" json:"region"`           // as in [Backup]
	Credentials string `toml:"credentials,omitempty" json:"credentials"` // as in [Backup], a file of its own
	Limit       string `toml:"limit,omitempty" json:"limit"`             // as in [Backup]
	LimitHours  string `toml:"limit_hours,omitempty" json:"limit_hours"` // as in [Backup]
}

// Notify says who hears of jobs. Nothing that leaves the machine holds data of patients or secrets.
type Notify struct {
	Ping     string   `toml:"ping" json:"ping"`           // file with the URL of a dead-man switch; relative to the credential folder; empty: none
	SMTP     string   `toml:"smtp" json:"smtp"`           // "smtps://host:465", "smtp://host:587" (STARTTLS), or plain "smtp://localhost:25"; empty: no mail
	SMTPAuth string   `toml:"smtp_auth" json:"smtp_auth"` // file with username and password; relative to the credential folder; empty: none
	SMTPCA   string   `toml:"smtp_ca" json:"smtp_ca"`     // file with the CA of the mail server; empty: those of the system
	From     string   `toml:"from" json:"from"`
	To       []string `toml:"to" json:"to"`
}

// Metrics says where figures for monitoring are written.
type Metrics struct {
	Textfile string `toml:"textfile" json:"textfile"` // folder of node_exporter's textfile collector; empty: none
}

// Drill says how this machine proves that the backups can be restored.
type Drill struct {
	Identity string `toml:"identity" json:"identity"` // file, relative to the credential folder; only on a machine that is not backed up itself
	Dir      string `toml:"dir" json:"dir"`           // where scratch instances go; empty: beside the instance's data
	RTO      string `toml:"rto" json:"rto"`           // objective for the time until the practice is back, such as "72h"
	RPO      string `toml:"rpo" json:"rpo"`           // objective for the age of what comes back, such as "24h"
}

// Mirror is a LAN mirror served by this machine.
type Mirror struct {
	Source string `toml:"source" json:"source"`
	Listen string `toml:"listen" json:"listen"`
	Dir    string `toml:"dir" json:"dir"`
}

// Agent is the supervisor for machines without systemd.
type Agent struct {
	Services []string `toml:"services" json:"services"` // "database", "server", "mirror"
}
