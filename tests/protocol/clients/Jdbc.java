// Jdbc.java - what a Java program does through pgJDBC; prints one line per check that fails.
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;

public class Jdbc {
    static int failures = 0;

    static void check(String what, Object want, Object got) {
        if (!Objects.equals(want, got)) {
            System.out.println("jdbc " + what + ": wanted " + want + ", got " + got);
            failures++;
        }
    }

    static List<String> names(ResultSet rows, String column) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next())
            found.add(rows.getString(column));
        rows.close();
        return found;
    }

    static void metadata(Connection c) throws SQLException {
        DatabaseMetaData m = c.getMetaData();
        check("product", "PostgreSQL", m.getDatabaseProductName());
        check("tables", List.of("j_child", "j_parent"),
              names(m.getTables(null, "public", "j\\_%", new String[] {"TABLE"}), "TABLE_NAME"));
        check("columns", List.of("id", "name", "price", "at"),
              names(m.getColumns(null, "public", "j_parent", null), "COLUMN_NAME"));
        check("primary key", List.of("id"),
              names(m.getPrimaryKeys(null, "public", "j_parent"), "COLUMN_NAME"));
        check("imported keys", List.of("parent_id"),
              names(m.getImportedKeys(null, "public", "j_child"), "FKCOLUMN_NAME"));
        check("exported keys", List.of("parent_id"),
              names(m.getExportedKeys(null, "public", "j_parent"), "FKCOLUMN_NAME"));
        check("cross reference", List.of("id"),
              names(m.getCrossReference(null, null, "j_parent", null, null, "j_child"),
                    "PKCOLUMN_NAME"));
        check("indexes", List.of("name", "id"),
              names(m.getIndexInfo(null, "public", "j_parent", false, false), "COLUMN_NAME"));
        check("schemas", true, names(m.getSchemas(), "TABLE_SCHEM").contains("public"));
        check("types", true, names(m.getTypeInfo(), "TYPE_NAME").contains("int4"));
        for (String what : List.of("catalogs", "functions", "procedures", "table types",
                                   "column privileges", "best row", "udts"))
            switch (what) {
            case "catalogs" -> names(m.getCatalogs(), "TABLE_CAT");
            case "functions" -> names(m.getFunctions(null, null, "ab%"), "FUNCTION_NAME");
            case "procedures" -> names(m.getProcedures(null, null, "x%"), "PROCEDURE_NAME");
            case "table types" -> names(m.getTableTypes(), "TABLE_TYPE");
            case "column privileges" ->
                names(m.getColumnPrivileges(null, null, "j_parent", "%"), "COLUMN_NAME");
            case "best row" ->
                names(m.getBestRowIdentifier(null, null, "j_parent", 0, true), "COLUMN_NAME");
            default -> names(m.getUDTs(null, null, "%", null), "TYPE_NAME");
            }
    }

    static void rows(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement p = c.prepareStatement(
                 "INSERT INTO j_parent (name, price, at) VALUES (?, ?, ?)",
                 Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 1000; i++) {
                p.setString(1, "n" + i);
                p.setBigDecimal(2, new BigDecimal("1.25").multiply(BigDecimal.valueOf(i)));
                p.setTimestamp(3, Timestamp.valueOf("2024-02-29 12:00:00.123456"));
                p.addBatch();
            }
            check("batch", 1000, p.executeBatch().length);
            ResultSet keys = p.getGeneratedKeys();
            check("generated key", true, keys.next());
        }
        c.commit();
        try (PreparedStatement p = c.prepareStatement(
                 "SELECT id, name, price, at FROM j_parent WHERE id > ? ORDER BY id")) {
            p.setFetchSize(100); // through a portal
            for (int round = 0; round < 8; round++) { // becomes a server-side statement, binary
                p.setInt(1, 10);
                ResultSet r = p.executeQuery();
                int n = 0;
                while (r.next())
                    n++;
                check("rows", 990, n);
            }
            p.setInt(1, 999);
            ResultSet r = p.executeQuery();
            r.next();
            check("numeric", new BigDecimal("1248.75"), r.getBigDecimal(3));
            check("timestamp", Timestamp.valueOf("2024-02-29 12:00:00.123456"), r.getTimestamp(4));
        }
        try (Statement s = c.createStatement()) {
            s.executeUpdate("INSERT INTO j_child VALUES (1, 99999)");
            check("foreign key", "an error", "none");
        } catch (SQLException e) {
            check("sqlstate", "23503", e.getSQLState());
        }
        c.rollback();
        Savepoint here = c.setSavepoint();
        try (Statement s = c.createStatement()) {
            s.executeQuery("SELECT 1 / 0");
        } catch (SQLException e) {
            check("sqlstate", "22012", e.getSQLState());
            c.rollback(here);
        }
        Array a = c.createArrayOf("int4", new Integer[] {1, 2, 3});
        try (PreparedStatement p = c.prepareStatement("SELECT ?::int4[], ?::uuid, ?::jsonb")) {
            p.setArray(1, a);
            p.setObject(2, UUID.fromString("00000000-0000-0000-0000-00000000000a"));
            p.setString(3, "{\"a\": 1}");
            ResultSet r = p.executeQuery();
            r.next();
            check("array", 3, ((Object[])r.getArray(1).getArray()).length);
            check("uuid", "00000000-0000-0000-0000-00000000000a", r.getObject(2).toString());
            check("jsonb", "{\"a\": 1}", r.getString(3));
        }
        c.commit();
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(args[0], "lumadb", "lumadb")) {
            try (Statement s = c.createStatement()) {
                s.execute("CREATE TABLE j_parent (id serial PRIMARY KEY, name text UNIQUE, "
                          + "price numeric(10,2), at timestamp)");
                s.execute("CREATE TABLE j_child (id int PRIMARY KEY, parent_id int REFERENCES "
                          + "j_parent ON DELETE CASCADE)");
            }
            metadata(c);
            rows(c);
        }
        System.exit(failures == 0 ? 0 : 1);
    }
}
