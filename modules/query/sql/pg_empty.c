/*
 * pg_empty.c - pg_catalog's tables for what this server does not have: clients ask them and learn
 * that there is nothing.
 */
#include "rows.h"

#define PG "pg_catalog"
#define EMPTY(name, oid, columns)              \
    {                                          \
        PG, name, oid, columns, NULL, 0, NULL, \
        {                                      \
            0                                  \
        }                                      \
    }

static struct sql_virtual tables[] = {
    EMPTY("pg_inherits", 2611, "inhrelid oid, inhparent oid, inhseqno int4, inhdetachpending bool"),
    EMPTY("pg_extension", 3079,
          "oid oid, extname name, extowner oid, extnamespace oid, extrelocatable bool, "
          "extversion text, extconfig oid[], extcondition text[]"),
    EMPTY("pg_available_extensions", 0,
          "name name, default_version text, installed_version text, comment text"),
    EMPTY("pg_trigger", 2620,
          "oid oid, tgrelid oid, tgparentid oid, tgname name, tgfoid oid, tgtype int2, "
          "tgenabled char, tgisinternal bool, tgconstrrelid oid, tgconstrindid oid, "
          "tgconstraint oid, tgdeferrable bool, tginitdeferred bool, tgnargs int2, tgattr "
          "int2vector, "
          "tgargs bytea, tgqual text, tgoldtable name, tgnewtable name"),
    EMPTY("pg_event_trigger", 3466,
          "oid oid, evtname name, evtevent name, evtowner oid, evtfoid oid, evtenabled char, "
          "evttags text[]"),
    EMPTY("pg_policy", 3256,
          "oid oid, polname name, polrelid oid, polcmd char, polpermissive bool, polroles oid[], "
          "polqual text, polwithcheck text"),
    EMPTY("pg_publication", 6104,
          "oid oid, pubname name, pubowner oid, puballtables bool, pubinsert bool, pubupdate bool, "
          "pubdelete bool, pubtruncate bool, pubviaroot bool"),
    EMPTY("pg_publication_rel", 6106,
          "oid oid, prpubid oid, prrelid oid, prqual text, prattrs int2[]"),
    EMPTY("pg_publication_namespace", 6237, "oid oid, pnpubid oid, pnnspid oid"),
    EMPTY("pg_publication_tables", 0,
          "pubname name, schemaname name, tablename name, attnames name[], rowfilter text"),
    EMPTY("pg_subscription", 6100,
          "oid oid, subdbid oid, subname name, subowner oid, subenabled bool, subbinary bool, "
          "substream bool, subtwophasestate char, subdisableonerr bool, subconninfo text, "
          "subslotname name, subsynccommit text, subpublications text[], subskiplsn text"),
    EMPTY("pg_statistic_ext", 3381,
          "oid oid, stxrelid oid, stxname name, stxnamespace oid, stxowner oid, "
          "stxstattarget int4, stxkeys int2vector, stxkind text[], stxexprs text"),
    EMPTY("pg_statistic_ext_data", 3429, "stxoid oid, stxdinherit bool"),
    EMPTY("pg_stats", 0,
          "schemaname name, tablename name, attname name, inherited bool, null_frac float4, "
          "avg_width int4, n_distinct float4"),
    EMPTY("pg_range", 3541,
          "rngtypid oid, rngsubtype oid, rngmultitypid oid, rngcollation oid, rngsubopc oid, "
          "rngcanonical regproc, rngsubdiff regproc"),
    EMPTY("pg_matviews", 0,
          "schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, "
          "ispopulated bool, definition text"),
    EMPTY("pg_opclass", 2616,
          "oid oid, opcmethod oid, opcname name, opcnamespace oid, opcowner oid, opcfamily oid, "
          "opcintype oid, opcdefault bool, opckeytype oid"),
    EMPTY("pg_opfamily", 2753,
          "oid oid, opfmethod oid, opfname name, opfnamespace oid, opfowner oid"),
    EMPTY("pg_amop", 2602,
          "oid oid, amopfamily oid, amoplefttype oid, amoprighttype oid, amopstrategy int2, "
          "amoppurpose char, amopopr oid, amopmethod oid, amopsortfamily oid"),
    EMPTY("pg_amproc", 2603,
          "oid oid, amprocfamily oid, amproclefttype oid, amprocrighttype oid, amprocnum int2, "
          "amproc regproc"),
    EMPTY("pg_conversion", 2607,
          "oid oid, conname name, connamespace oid, conowner oid, conforencoding int4, "
          "contoencoding int4, conproc regproc, condefault bool"),
    EMPTY("pg_ts_config", 3602,
          "oid oid, cfgname name, cfgnamespace oid, cfgowner oid, cfgparser oid"),
    EMPTY("pg_ts_dict", 3600,
          "oid oid, dictname name, dictnamespace oid, dictowner oid, dicttemplate oid, "
          "dictinitoption text"),
    EMPTY("pg_ts_parser", 3601,
          "oid oid, prsname name, prsnamespace oid, prsstart regproc, prstoken regproc, prsend "
          "regproc, "
          "prsheadline regproc, prslextype regproc"),
    EMPTY("pg_ts_template", 3764,
          "oid oid, tmplname name, tmplnamespace oid, tmplinit regproc, tmpllexize regproc"),
    EMPTY("pg_foreign_data_wrapper", 2328,
          "oid oid, fdwname name, fdwowner oid, fdwhandler oid, fdwvalidator oid, fdwacl text[], "
          "fdwoptions text[]"),
    EMPTY("pg_foreign_server", 1417,
          "oid oid, srvname name, srvowner oid, srvfdw oid, srvtype text, srvversion text, "
          "srvacl text[], srvoptions text[]"),
    EMPTY("pg_foreign_table", 3118, "ftrelid oid, ftserver oid, ftoptions text[]"),
    EMPTY("pg_user_mapping", 1418, "oid oid, umuser oid, umserver oid, umoptions text[]"),
    EMPTY("pg_user_mappings", 0,
          "umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions text[]"),
    EMPTY("pg_db_role_setting", 2964, "setdatabase oid, setrole oid, setconfig text[]"),
    EMPTY("pg_default_acl", 826,
          "oid oid, defaclrole oid, defaclnamespace oid, defaclobjtype char, defaclacl text[]"),
    EMPTY("pg_partitioned_table", 3350,
          "partrelid oid, partstrat char, partnatts int2, partdefid oid, partattrs int2vector, "
          "partclass oidvector, partcollation oid[], partexprs text"),
    EMPTY("pg_init_privs", 3394,
          "objoid oid, classoid oid, objsubid int4, privtype char, initprivs text[]"),
    EMPTY("pg_seclabel", 3596,
          "objoid oid, classoid oid, objsubid int4, provider text, label text"),
    EMPTY("pg_seclabels", 0,
          "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, "
          "provider text, label text"),
    EMPTY("pg_shseclabel", 3592, "objoid oid, classoid oid, provider text, label text"),
    EMPTY("pg_shdepend", 1214,
          "dbid oid, classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, "
          "deptype char"),
    EMPTY("pg_largeobject_metadata", 2995, "oid oid, lomowner oid, lomacl text[]"),
    EMPTY("pg_transform", 3576,
          "oid oid, trftype oid, trflang oid, trffromsql regproc, trftosql regproc"),
    EMPTY("pg_parameter_acl", 6243, "oid oid, parname text, paracl text[]"),
    EMPTY("pg_cursors", 0,
          "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, "
          "creation_time timestamptz"),
    EMPTY("pg_rules", 0, "schemaname name, tablename name, rulename name, definition text"),
    EMPTY("pg_replication_slots", 0,
          "slot_name name, plugin name, slot_type text, datoid oid, database name, active bool"),
    EMPTY("pg_policies", 0,
          "schemaname name, tablename name, policyname name, permissive text, roles name[], "
          "cmd text, qual text, with_check text"),
    EMPTY("pg_stat_user_indexes", 0,
          "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, "
          "idx_scan int8, idx_tup_read int8, idx_tup_fetch int8"),
    EMPTY("pg_group", 0, "groname name, grosysid oid, grolist oid[]"),
};

struct sql_virtual_list sql_pg_empty = {tables, LUMA_COUNTOF(tables)};
