// node.js - the npm packages pg, postgres, knex and typeorm; prints one line per check that fails.
// Usage: node node.js PACKAGE PORT
"use strict";
const [, , what, port] = process.argv;
const where = {host: "127.0.0.1", port: Number(port), user: "lumadb", password: "lumadb",
               database: "default"};
let failures = 0;

function check(name, want, got) {
    if (JSON.stringify(want) !== JSON.stringify(got)) {
        console.log(`${what} ${name}: wanted ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
        failures++;
    }
}

async function withPg() {
    const {Client, Pool} = require("pg");
    const c = new Client(where);
    await c.connect();
    await c.query("CREATE TABLE n_pg (id serial PRIMARY KEY, t text, j jsonb, a int[], d timestamptz)");
    const put = await c.query(
        "INSERT INTO n_pg (t, j, a, d) VALUES ($1, $2, $3, $4) RETURNING id",
        ["x'y", {k: [1, null]}, [1, 2], new Date(0)]);
    check("returning", 1, put.rows[0].id);
    const got = await c.query({name: "one", text: "SELECT * FROM n_pg WHERE id = $1", values: [1]});
    check("json", {k: [1, null]}, got.rows[0].j);
    check("array", [1, 2], got.rows[0].a);
    check("date", new Date(0).toISOString(), got.rows[0].d.toISOString());
    check("error", "22P02", await c.query("SELECT $1::int", ["x"]).catch((e) => e.code));
    await c.query("BEGIN");
    await c.query("ROLLBACK");
    await c.end();
    const pool = new Pool({...where, max: 4});
    const all = await Promise.all(Array.from({length: 40}, (_, i) =>
        pool.query("SELECT $1::int + 1 AS n", [i])));
    check("pool", 820, all.reduce((sum, r) => sum + r.rows[0].n, 0));
    await pool.end();
}

async function withPostgres() {
    const sql = require("postgres")({...where, max: 3, onnotice: () => {}});
    await sql`CREATE TABLE n_postgres (id int PRIMARY KEY, t text, n numeric, b bytea)`;
    await sql`INSERT INTO n_postgres ${sql([{id: 1, t: "a", n: "1.5", b: Buffer.from([1, 255])},
                                            {id: 2, t: null, n: null, b: null}])}`;
    const rows = await sql`SELECT * FROM n_postgres WHERE id = ANY(${[1, 2]}) ORDER BY id`;
    check("rows", ["a", null], rows.map((r) => r.t));
    check("numeric", "1.5", rows[0].n);
    check("bytea", [1, 255], [...rows[0].b]);
    await sql.begin(async (t) => {
        await t`UPDATE n_postgres SET t = ${"c"} WHERE id = 2`;
        await t.savepoint((s) => s`SELECT 1 / 0`).catch((e) => check("savepoint", "22012", e.code));
    });
    check("committed", "c", (await sql`SELECT t FROM n_postgres WHERE id = 2`)[0].t);
    let seen = 0;
    await sql`SELECT g FROM generate_series(1, 5000) g`.cursor(1000, (part) => { seen += part.length; });
    check("cursor", 5000, seen);
    const together = await Promise.all([1, 2, 3, 4, 5].map((i) => sql`SELECT ${i}::int AS i`));
    check("pipelined", [1, 2, 3, 4, 5], together.map((r) => r[0].i));
    await sql.end();
}

async function withKnex() {
    const knex = require("knex")({client: "pg", connection: where});
    await knex.schema.createTable("n_users", (t) => {
        t.increments("id");
        t.string("email").notNullable().unique();
        t.decimal("amount", 10, 2).defaultTo(0);
        t.jsonb("doc");
        t.timestamps(true, true);
    });
    await knex.schema.createTable("n_posts", (t) => {
        t.bigIncrements("id");
        t.integer("user_id").references("id").inTable("n_users").onDelete("CASCADE").index();
        t.text("title");
    });
    check("has table", true, await knex.schema.hasTable("n_users"));
    check("has column", true, await knex.schema.hasColumn("n_users", "email"));
    const [{id}] = await knex("n_users").insert({email: "a@x", doc: {a: 1}}).returning("id");
    await knex("n_posts").insert([{user_id: id, title: "one"}, {user_id: id, title: "two"}]);
    check("join", ["one", "two"],
          (await knex("n_posts").join("n_users", "n_users.id", "n_posts.user_id")
              .where("email", "a@x").orderBy("title").select("title")).map((r) => r.title));
    await knex("n_users").insert({email: "a@x", amount: 5}).onConflict("email").merge();
    check("merge", "5.00", (await knex("n_users").first("amount")).amount);
    await knex.transaction(async (t) => { await t("n_users").del(); });
    check("cascade", "0", (await knex("n_posts").count("* as n"))[0].n);
    await knex.schema.alterTable("n_users", (t) => {
        t.string("nick");
        t.dropColumn("doc");
        t.renameColumn("amount", "total");
    });
    check("columns", ["created_at", "email", "id", "nick", "total", "updated_at"],
          Object.keys(await knex("n_users").columnInfo()).sort());
    await knex.schema.dropTable("n_posts");
    await knex.destroy();
}

async function withTypeorm() {
    const {DataSource, EntitySchema} = require("typeorm");
    const Author = new EntitySchema({
        name: "n_author",
        columns: {id: {type: Number, primary: true, generated: true},
                  name: {type: String, unique: true}, born: {type: "date", nullable: true}},
        relations: {books: {type: "one-to-many", target: "n_book", inverseSide: "author",
                            cascade: true}}});
    const Book = new EntitySchema({
        name: "n_book",
        columns: {id: {type: Number, primary: true, generated: true}, title: {type: String},
                  price: {type: "numeric", precision: 10, scale: 2, nullable: true}},
        relations: {author: {type: "many-to-one", target: "n_author", inverseSide: "books",
                             onDelete: "CASCADE"}}});
    const open = () => new DataSource({type: "postgres", ...where, username: where.user,
                                       installExtensions: false,
                                       synchronize: true, entities: [Author, Book]}).initialize();
    let source = await open();
    await source.getRepository("n_author").save(
        {name: "A", born: "1970-01-01", books: [{title: "x", price: "1.50"}, {title: "y"}]});
    const found = await source.getRepository("n_author").findOne(
        {where: {name: "A"}, relations: {books: true}, order: {books: {title: "ASC"}}});
    check("relation", ["x", "y"], found.books.map((b) => b.title));
    await source.destroy();
    source = await open(); // finds nothing to change
    check("count", 2, await source.getRepository("n_book").count());
    await source.destroy();
}

const run = {pg: withPg, postgres: withPostgres, knex: withKnex, typeorm: withTypeorm}[what];
run().then(() => process.exit(failures === 0 ? 0 : 1),
           (error) => { console.log(`${what}: ${error.stack || error}`); process.exit(1); });
