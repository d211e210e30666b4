--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: audit_refusal(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_refusal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is only added to'; END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: api_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_keys (
    key_id character varying(64) NOT NULL,
    secret_hash bytea NOT NULL,
    role character varying(32) NOT NULL,
    label character varying(200) NOT NULL,
    galleries character varying,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    max_per_minute integer,
    max_per_day integer
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    number bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor character varying(64) NOT NULL,
    action character varying(64) NOT NULL,
    outcome character varying(64) NOT NULL,
    gallery character varying(36),
    subjects character varying NOT NULL,
    facts character varying NOT NULL,
    code bytea NOT NULL
);


--
-- Name: changes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.changes (
    gallery_id bigint NOT NULL,
    sequence bigint NOT NULL,
    kind character varying(32) NOT NULL,
    subject character varying(36),
    template character varying(36),
    at timestamp with time zone NOT NULL,
    template_row bigint
);


--
-- Name: facts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.facts (
    name character varying(64) NOT NULL,
    value bytea NOT NULL
);


--
-- Name: galleries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.galleries (
    id bigint NOT NULL,
    public_id character varying(36) NOT NULL,
    name character varying(255) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    sequence bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    num_templates bigint DEFAULT '0'::bigint NOT NULL,
    num_subjects bigint DEFAULT '0'::bigint NOT NULL,
    space_id character varying(36),
    sealed_space bytea,
    fusion character varying(32),
    max_templates integer,
    smallest_lead double precision
);


--
-- Name: galleries_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.galleries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: galleries_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.galleries_id_seq OWNED BY public.galleries.id;


--
-- Name: look_alikes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.look_alikes (
    subject_id bigint NOT NULL,
    other_id bigint NOT NULL,
    declared_at timestamp with time zone NOT NULL
);


--
-- Name: subjects; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.subjects (
    id bigint NOT NULL,
    public_id character varying(36) NOT NULL,
    gallery_id bigint NOT NULL,
    name character varying(200),
    external_id character varying(255),
    created_at timestamp with time zone NOT NULL,
    audit_salt bytea
);


--
-- Name: subjects_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.subjects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: subjects_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.subjects_id_seq OWNED BY public.subjects.id;


--
-- Name: templates; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.templates (
    id bigint NOT NULL,
    public_id character varying(36) NOT NULL,
    gallery_id bigint NOT NULL,
    subject_id bigint,
    face_id character varying(255) NOT NULL,
    image_id character varying(255) NOT NULL,
    image_hash bytea NOT NULL,
    box_left double precision NOT NULL,
    box_top double precision NOT NULL,
    box_right double precision NOT NULL,
    box_bottom double precision NOT NULL,
    photo_width integer NOT NULL,
    photo_height integer NOT NULL,
    landmarks bytea NOT NULL,
    confidence double precision NOT NULL,
    quality double precision NOT NULL,
    norm double precision NOT NULL,
    fingerprint character varying(64) NOT NULL,
    sealed_embedding bytea NOT NULL,
    checksum bytea NOT NULL,
    sequence bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    space_id character varying(36)
);


--
-- Name: templates_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.templates_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: templates_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.templates_id_seq OWNED BY public.templates.id;


--
-- Name: galleries id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.galleries ALTER COLUMN id SET DEFAULT nextval('public.galleries_id_seq'::regclass);


--
-- Name: subjects id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects ALTER COLUMN id SET DEFAULT nextval('public.subjects_id_seq'::regclass);


--
-- Name: templates id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates ALTER COLUMN id SET DEFAULT nextval('public.templates_id_seq'::regclass);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0004');


--
-- Data for Name: api_keys; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.api_keys VALUES ('key-1', '\x0202020202020202020202020202020202020202020202020202020202020202', 'operator', 'door', NULL, '2026-11-30 16:59:42.541568+00', NULL, NULL, NULL, NULL, NULL);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit VALUES (1, '2026-11-30 16:59:42.467488+00', 'local', 'gallery.create', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '[]', '{}', '\xa832eba6d3f2a242238cdd6ce68ee564f96578099c21d87e10cf07fe1b82516c');
INSERT INTO public.audit VALUES (2, '2026-11-30 16:59:42.505075+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["89582cb22519aacc23c80aa9"]', '{"num_subjects":1,"num_templates":2}', '\xd1ef209e58fe7fc9843ec8f733ddad4eb88c2a02b6b3b5b679992c20bda65789');
INSERT INTO public.audit VALUES (3, '2026-11-30 16:59:42.51568+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["53b766ee19184f7fa3c8d962"]', '{"num_subjects":1,"num_templates":2}', '\x6c9a14423c350aba883d18a9582fc2716a9ec49a14187e1078c6ae5e093fafb4');
INSERT INTO public.audit VALUES (4, '2026-11-30 16:59:42.522152+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["9f48cb4d200f3a724c27a465"]', '{"num_subjects":1,"num_templates":2}', '\xe625884972135f6963350dbda86437fd9348aff6a2047c6a10caa3f157148b4c');
INSERT INTO public.audit VALUES (5, '2026-11-30 16:59:42.524713+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["856ec2d563ec2116ccf99e9a"]', '{"num_subjects":1,"num_templates":2}', '\xe6ca68f226de56fc9f73ef2e547f3ce036eb5901658c338c12c02056b9232e7e');
INSERT INTO public.audit VALUES (6, '2026-11-30 16:59:42.527138+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["071ae131e4acbd0679593cf7"]', '{"num_subjects":1,"num_templates":2}', '\x164932a6dd416465ea1f78e74a4ac8d6c96dda8f8e5856652d19ee42ca02e955');
INSERT INTO public.audit VALUES (7, '2026-11-30 16:59:42.529603+00', 'local', 'subject.enroll', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["48c5f0d43ddbc3a6ab8612c5"]', '{"num_subjects":1,"num_templates":2}', '\x26b7e18d9784e2197dd320af0b93369b98a9466719fb4ef61f3ddfc00a5e3612');
INSERT INTO public.audit VALUES (8, '2026-11-30 16:59:42.532154+00', 'local', 'subject.remove', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["53b766ee19184f7fa3c8d962"]', '{"num_templates":2}', '\x1464a7dde84d246ba86124ca462768dd6954d32762235f2e848d3e2816c4c4a3');
INSERT INTO public.audit VALUES (9, '2026-11-30 16:59:42.537048+00', 'local', 'template.remove', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["9f48cb4d200f3a724c27a465"]', '{"num_templates":1}', '\xdc4f6c20cab3e7efdb18cb476201ba525ca99951a75e98d087d37eab6c88c7e3');
INSERT INTO public.audit VALUES (10, '2026-11-30 16:59:42.539452+00', 'local', 'subject.relabel', 'done', '01a22d65-e602-7663-9896-88c3f72c728c', '["89582cb22519aacc23c80aa9"]', '{"name":true}', '\xc5e7f4df4bdd295e3d395d06ab5b08458d4db309968daf7d0999b4662912f572');
INSERT INTO public.audit VALUES (11, '2026-11-30 16:59:42.54075+00', 'local', 'gallery.create', 'done', '01a22d65-e64c-758d-823a-2e2361a63040', '[]', '{}', '\xc966de525e72ad4497258a29db58931d59cf9f865b46f27bbf64941cabf332e8');
INSERT INTO public.audit VALUES (12, '2026-11-30 16:59:42.542373+00', 'local', 'key.create', 'done', NULL, '[]', '{"key_id":"key-1","role":"operator"}', '\xe3c1cf5553ddec0fd143c3950e2f38a4958e12f51c2c6d77335959194ab24e81');


--
-- Data for Name: changes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.changes VALUES (1, 1, 'subject_added', '01a22d65-e624-787e-9027-5e29071727bc', NULL, '2026-11-30 16:59:42.500075+00', NULL);
INSERT INTO public.changes VALUES (1, 2, 'template_added', '01a22d65-e624-787e-9027-5e29071727bc', '01a22d65-e626-730b-8e3b-47c6f86b622d', '2026-11-30 16:59:42.500075+00', 1);
INSERT INTO public.changes VALUES (1, 3, 'template_added', '01a22d65-e624-787e-9027-5e29071727bc', '01a22d65-e626-7c63-ae93-8f12e93b4a7f', '2026-11-30 16:59:42.500075+00', 2);
INSERT INTO public.changes VALUES (1, 4, 'subject_added', '01a22d65-e631-798f-8e86-834f409c82a5', NULL, '2026-11-30 16:59:42.5136+00', NULL);
INSERT INTO public.changes VALUES (1, 5, 'template_added', '01a22d65-e631-798f-8e86-834f409c82a5', '01a22d65-e632-7505-a4f5-5db87c014df9', '2026-11-30 16:59:42.5136+00', 3);
INSERT INTO public.changes VALUES (1, 6, 'template_added', '01a22d65-e631-798f-8e86-834f409c82a5', '01a22d65-e632-7d2e-8343-d6ebe29ebe7b', '2026-11-30 16:59:42.5136+00', 4);
INSERT INTO public.changes VALUES (1, 7, 'subject_added', '01a22d65-e639-765b-9d25-5e95d4540861', NULL, '2026-11-30 16:59:42.521015+00', NULL);
INSERT INTO public.changes VALUES (1, 8, 'template_added', '01a22d65-e639-765b-9d25-5e95d4540861', '01a22d65-e639-7add-bf15-39616a419d79', '2026-11-30 16:59:42.521015+00', 5);
INSERT INTO public.changes VALUES (1, 9, 'template_added', '01a22d65-e639-765b-9d25-5e95d4540861', '01a22d65-e639-7cfd-8979-c4dc448ad9cb', '2026-11-30 16:59:42.521015+00', 6);
INSERT INTO public.changes VALUES (1, 10, 'subject_added', '01a22d65-e63b-7179-8a69-c2225a824b0e', NULL, '2026-11-30 16:59:42.523664+00', NULL);
INSERT INTO public.changes VALUES (1, 11, 'template_added', '01a22d65-e63b-7179-8a69-c2225a824b0e', '01a22d65-e63c-74b3-be14-269f8fbd8064', '2026-11-30 16:59:42.523664+00', 7);
INSERT INTO public.changes VALUES (1, 12, 'template_added', '01a22d65-e63b-7179-8a69-c2225a824b0e', '01a22d65-e63c-7832-beec-fad3126f77dc', '2026-11-30 16:59:42.523664+00', 8);
INSERT INTO public.changes VALUES (1, 13, 'subject_added', '01a22d65-e63e-736b-a24a-d8f3062f44de', NULL, '2026-11-30 16:59:42.526179+00', NULL);
INSERT INTO public.changes VALUES (1, 14, 'template_added', '01a22d65-e63e-736b-a24a-d8f3062f44de', '01a22d65-e63e-7117-a572-8e1624a0852f', '2026-11-30 16:59:42.526179+00', 9);
INSERT INTO public.changes VALUES (1, 15, 'template_added', '01a22d65-e63e-736b-a24a-d8f3062f44de', '01a22d65-e63e-7ec5-9644-01c841d0fe09', '2026-11-30 16:59:42.526179+00', 10);
INSERT INTO public.changes VALUES (1, 16, 'subject_added', '01a22d65-e640-7b58-b6fc-a69936dcb9c2', NULL, '2026-11-30 16:59:42.528543+00', NULL);
INSERT INTO public.changes VALUES (1, 17, 'template_added', '01a22d65-e640-7b58-b6fc-a69936dcb9c2', '01a22d65-e641-74e5-b2cd-2043fa536aaa', '2026-11-30 16:59:42.528543+00', 11);
INSERT INTO public.changes VALUES (1, 18, 'template_added', '01a22d65-e640-7b58-b6fc-a69936dcb9c2', '01a22d65-e641-76c4-96b9-56e51fe8c17d', '2026-11-30 16:59:42.528543+00', 12);
INSERT INTO public.changes VALUES (1, 19, 'template_removed', '01a22d65-e631-798f-8e86-834f409c82a5', '01a22d65-e632-7505-a4f5-5db87c014df9', '2026-11-30 16:59:42.531941+00', 3);
INSERT INTO public.changes VALUES (1, 20, 'template_removed', '01a22d65-e631-798f-8e86-834f409c82a5', '01a22d65-e632-7d2e-8343-d6ebe29ebe7b', '2026-11-30 16:59:42.531941+00', 4);
INSERT INTO public.changes VALUES (1, 21, 'subject_removed', '01a22d65-e631-798f-8e86-834f409c82a5', NULL, '2026-11-30 16:59:42.531941+00', NULL);
INSERT INTO public.changes VALUES (1, 22, 'template_removed', '01a22d65-e639-765b-9d25-5e95d4540861', '01a22d65-e639-7add-bf15-39616a419d79', '2026-11-30 16:59:42.536861+00', 5);
INSERT INTO public.changes VALUES (1, 23, 'subject_relabeled', '01a22d65-e624-787e-9027-5e29071727bc', NULL, '2026-11-30 16:59:42.538794+00', NULL);


--
-- Data for Name: facts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.facts VALUES ('database_id', '\x30316132326436352d653566652d373537342d383361352d316463346563663563386665');
INSERT INTO public.facts VALUES ('audit_head', '\x5b31322c202265336331636635353533646465633066643134336333393530653266333861343935386531326635316332633664373733333539353931393461623234653831225d');


--
-- Data for Name: galleries; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.galleries VALUES (1, '01a22d65-e602-7663-9896-88c3f72c728c', 'people', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 23, '2026-11-30 16:59:42.466318+00', 9, 5, NULL, NULL, NULL, NULL, 0.05);
INSERT INTO public.galleries VALUES (2, '01a22d65-e64c-758d-823a-2e2361a63040', 'empty', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 0, '2026-11-30 16:59:42.540474+00', 0, 0, NULL, NULL, NULL, NULL, 0.05);


--
-- Data for Name: look_alikes; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: subjects; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.subjects VALUES (1, '01a22d65-e624-787e-9027-5e29071727bc', 1, 'Renamed', NULL, '2026-11-30 16:59:42.501649+00', '\x9f303d663bd8854d4732f6d3445f275a');
INSERT INTO public.subjects VALUES (3, '01a22d65-e639-765b-9d25-5e95d4540861', 1, 'Subject 2 ünï', NULL, '2026-11-30 16:59:42.521312+00', '\xbbba79897a2c108abbd50220c0d7ee0a');
INSERT INTO public.subjects VALUES (4, '01a22d65-e63b-7179-8a69-c2225a824b0e', 1, NULL, 'ext-3', '2026-11-30 16:59:42.523909+00', '\xd7c6c759cc29be0aed7f89ec1661f455');
INSERT INTO public.subjects VALUES (5, '01a22d65-e63e-736b-a24a-d8f3062f44de', 1, 'Subject 4 ünï', NULL, '2026-11-30 16:59:42.526418+00', '\x78b30bb72bec8ebbc8cb5c7af2cb0017');
INSERT INTO public.subjects VALUES (6, '01a22d65-e640-7b58-b6fc-a69936dcb9c2', 1, 'Subject 5 ünï', 'ext-5', '2026-11-30 16:59:42.528925+00', '\x136fdf62bb5b3f91a1aebb1508896dd0');


--
-- Data for Name: templates; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.templates VALUES (1, '01a22d65-e626-730b-8e3b-47c6f86b622d', 1, 1, 'face-1', 'image-0-0', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.5, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x17645b3b9e8af33bb86ddf3bb5adf3bc4e33fbbcbda6dabc9a4b153d771e973d554b15bd2be764bd301fc53a322d673c06686abdbda022bd6d6d0abd9229c93b36bf81bddadfccbce9e76fbd5f2ea1bc0d9190bdc2c4df3ced8382bd51bd9c3c2248f13c159e8ebb191ae4bdaab233bd56ff61bcad84223c97ada8bda9d7bbbcc56623bdb9d97abc18ae353db3f2a4bcd66b96bc9781ec3c209938ba62fd0f3d82eaedbc146d2c3dc13e19bc0ce5be3c6892673db98584bd41ab8e3dbec1643d20ecc33cf042dc3d4665183de3a39abd358d2a3b7bd61c3d74d726bd6298103dec3b113cbda12e3de93faf3cdc312cbd3bbf84bb0d1f43bd462c4e3d01d266bd45cb4cbc609864bc845c983d79a09c3d06b201bda0efb1bd5598cc3c1a4460bd2a261b3cb10da2bc55f8bf3d01151cbcec2df0bcef0c363c297c00bcf197dd3d38ca2ebcf40be3bc624b413ba57407bd97f626bd3867c5bc383c733c03f7913cdf3dba3cb7ae8b3d781f0abca5a7863d5abdc2bc55469c3ccb8cd03b322f463dada32fbd7fdb32bbe554c6bd1585e3bd0a2c093bab42e0bb6d0cdb3a35f35b3d0520f3bb500867bdc31338bccb830c3dd23c86bd9ba02c3b7ab0293cbbf2b23cd5a822bde1911e3bf1ed9f3ce9386fbd90bb3f3dfd7d48bc4e166c3d74251a3d7f2ec43c46381e3a698a19bbcb11e2bd53a737bd1d79e4bb53a1ebbd225c1a3d2717a1bda027143a9f9b6ebd1353113d42aa683c25dfaebce739393d67cda33d960a0d3da99da53c6c328bbdf30959bb4cc2483d06390ebc8c29013c67cc9abc48df6cbccf9c65bd459b85bbe7010bbcfaa1673c016dec3caede06bde6671fbc5f282fbd2b0157bc095865bc16a74cbdafb72dbd490504bd6b57ef3c2830b3bd6fbaccbc333d933b3f55193decc172bd7f46243dffacc7bc0beb7dbd349548bc14be2d3d4ecbda3c0de2153ab238923c5d1c903bab68943b995fc7bcaf2846bde634243cc9970b3cd99724bd09f0f6bb90e5afbc3f233cbd9127203d1d5b85bc44498bbca0046d3c952cf93cef2b7b3d4403be3c794707bdd8e2cfbd66199d39a5b3823dd4d2d3bbe0264a3c0dcf923dd1305cbbd06d953caae8edbcefc5903d13de80bdf63c7b3c9ebfc5bc6110513d60ceb73db2a32a3d5b9b19bddfc0c3bd07b08e3c009d5dbac9fe4b3be00dbb3d0735a5bdf4f67cbdcfcb8d3b6b07873c1f1316bc587d5abc74fb5dbd614fcf3c43ef04bc301eb5bd40ba9dbd308b143d2de87bbc7f254f3dfd1a20bc1184e5bc5a2548bde7a570bd556a38bc91c589bd22d0363d90f05d3d1591273d63aba7bdfa3d66bcb92aeabcc029a8bdbfd0a9bd6a818d3c13cd933cdd3d9f3ce3fa21bcecfb113d4a05423d153f31bcd02759bcf85c0abdfdd8d4bda326e8bd3cd7a6bc61099d3db33db8bc7e60b1bcc77443bc1154c23c8481243cca6ba4bc6368743d7b0b8cbc75498f3cb85300bc2aec9fba4b851cbd00031f3da8f727bd22850f3ded33abbd8431dbbcf0b4933d4af3abbcb7522d3dc8ce943cf1432ebdfa0be23c6e5d713c1362ebbd4000cabc50df0f3dca27743c134649bd3b0280bc343ea7bc3c4f0abd7cbd793c7608e8bc3a55f13c68e317bdb5a4a43bc0c1c6bdaf74a03c8afe543dc5375a3dc6294cba16f4993cc03b55399812a8bac11b26bd7777c33c33bab13d679c173d81584d3c973ef6bd1ec185bcd5d56c3d67ac6f3c190067bc5a2937bc1ee1f2bc0f8219bc717ca13c9147933cb9e618bdaa999b3c44a00d3cfd54a2bdd1c684bcf5b362bdc2dc4c3d68839bbc36c9d23b178fda3c169c66bbb563513bbeef823bbbd6323c36fc3cbd5556983c3ff8863d433ddeba75c540bdf6c4adbc61a9b73b57d013bd9d144abd3ac1613d39c07abd83cb903dfc44323c6d1b92bce227d83c0d9ce03deda7043927a2e6bcc6ceb1bdf98965bbe8f65a3d64aba23db4c593bc693192bd96b50e3d53ed9739eea1fabcd4bd3e3d4e031c3c3562a8bc31488c3b7d93f33c73a7bc3c2e6691bc0758f73ddf5d3e3de0d401bc2810aabd351439bc91db8abd692c8cbd81d1353c21db403d0081863ba30895bdfaf0bb3b2caa363c568bb4bb9549883d5ed9053d0a8c1cbc2e9516bd995fe93ca4830fbdaea3a5bdf8ad97bc95da1ebd512aa13c80d8d43cf8f8643ced9d09bdf899f9bb4a5e9e3bed41db3b80c7ccbc3e9558bd4d2c8bbd1de52f3dfa0798bb40e04b3d66f1fe3bcf105cbd88e18abcec2949bbf1caf23cf42453bd88e8be3da3e5e1bca5d1a4bc2ce181bd813b743d1d78df3bd96985bd3d324f3debd34f3dd434263d664ebcbd86f6fbbcdc9d14bd18eaa53d0669623c6d46ad3d7e50e1bce4c907bde6cec9bc25346d3c87b8e53c6ded1e3ca17af53cbae08fbc54d22cbd41f7233ccb7c29bda68a4a3d079b30bd9ac5a7bbf5d4503b6b132abd0dff98bcd89228bd52058b3d9d766bbd8b5b67bcb86184bbf51700bc2966523d9eae093dcf1faa3dee3bac3b3311a0b8521ab4bb398c50bcb7dfab3cfc9a143beb03083d3789a73cb33d2dbdc69353bcd1b6a2bc924c3d3c031915bb42926fbb1cb72cbd72d228bc8719b9bd5a72bfbd870ae53c7a198c3d282640bd44f378bd985bfabc20e048bd75cb9c3b0a2ac3bd652948bdc579853c20e8483c95f9a33c93dab03a618d5fbdaac696bd26590dbd4d6ffd3932a8be3cc321393de0b2e3bb49768c3b4b54513d08ee8cbdd1c49abd7c633cbd8bb156bcd3c9df3cdc48163cb46e00bde66e38bd0397fbbcfe79a53d8a291cbec0f95e3cf77db2bc6d13383bb084f4bc48e4c03c9c5830bdb5f7a3bd1bce003d51407f3d0489dfbb722203bda59d6bbd37e7953bdab1a1bcc83d2fbc92adad39', '\xb7c1d8efa7a176e2973de685752b03307c28ecdce30f985fbf3a67868a5c7394', 2, '2026-11-30 16:59:42.500075+00', NULL);
INSERT INTO public.templates VALUES (2, '01a22d65-e626-7c63-ae93-8f12e93b4a7f', 1, 1, 'face-1', 'image-0-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.6, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\xa3ce343cb8ae173d4b71043add6f97bd1ae9473cc725b4bc25d473bccb028a3dfaa0d0bb09b559bc92d6993cc41ff93c8a5ba0bc704c20bd295a86bcafef353dc1be43bd74fed4bc1004c1bd204062bd921c89bde0148ebc89faa6bb1eb02b3d1fdfa4bded0189bd2c79c7bdf68307bdefa5a43be0fb343cb0b13c3cb54458bdc17243bd0c35113dded0723d3f4f09bc26a38fbc5fffa4bcd6d482bcd8b11fba125f0fbd8bef9ebc697e40bd8160dfbc4a4d3e3d35d05abd6616053d8b7340bc234894bba28bcf3d04bb1b3d31ec8ebd1ae5d43c3304a73b829dac3c242c16bc145dda3c593dc23c5e62513cb2e10dbda8a4153c33dc06bc9dd8d9bcfdd9a0bd295b72bc0e41b4bc3c04253dd40e873de94dcebd1b46abbc7f1c803d3e48a8bd05da2ebda0e6a63cc0e65c3d93bf5b3dc6c1bbbc2b1f78bdcfe84ebc3aa5293d2516143c8c56a1bb35be1fbda7bd2dbd8e47ab3c2ff09bbc913faabc97e084bc1858683d61a21e3d6912dd3c7050053dda9c7cbc8715f73c71b8083d14034ebd020353bdd377603c5401dbbdd96e82bd995902bd4a51b1bb9f91023b8358d33d75d3093c13832dbc0fc0a6bcce25f7bc0a0a4a3da81c35bc3fce743b3201c13c147033bd1457c63caf1a1b3b94d21bbd5efd58bcbf2386bc94de293beb1ae73cb9dd533d5b7a8fbd557fa9bd943e5abd25cb223d584e98bc3d8af0bde2434b3dd140b9bd34c43c3c69b92bbdd1bc393d4ae504bc048341bdbab6233d62ebd23c59fe4dbc45bf24bd775fb8bb2d1492bd31b5ae3b2b4bd93cbf4569bbe830fbbca18bd7bb0ace75bda11f1e3d7767013c582a353d870615bd0c72983a917cfbbc1a4f5dbd3a39e8bc8deed5bc2327273d0e98b3bd4e7ec7bcfa08fabb0711c9bc207d21bc2cba9c3b755c003dbf2c3bbd4127703cc85400bb81bac8bacb18093dac59a1bcfd6fb7bab5c8f3bc5c48a43c670aa9bcbfaca63945a7bfbd736593bc6381f93ca79e64bd8159fd3c668d263dc344dbb99bb95bbc3111dabb5679a43d3310b83c101711bd9095943cb917e23c765711bd971479bc9d2e85bd76d5963d3de5863d371cbbbd01dbac3c53ccbbbc8564863d199e1f3d889a553ae362af3cf56a4f3c72f9c33d57c081bc1a25333d8825413d3ccf5a3d0105a8bdd9df12bbead484ba92483ebd58e37d3c86a2243cae6f8abd9e66c2bdccf9aa3b05d911bd2197bbbce787a9bb28182cbd48d65abd5d5d7cbc2f7e3cbc4fe08fbd1122673c308dbfbc7458faba914b9cbd213df6bb421495bda4af65bd9102983ccb2d81bc74c58c393a4254bd56bdb23d1f5e2ebd4e154dbc39f1ad3c6cdababc24b5b5bd304261bc83acaf3c7f12613b370f45bd6d9e403d7f22bc3c65c64bbd194878bdb8a915bd2cf57bbdd28e04be6e09aebcc857673df070b4bcd9afadbc81d149bda9ce5e3c6e61063ce84b823c2f5417bc233cd5bcf71e493d17b812bd3a17ccbc9aba16bd29cfc9bc5741c5bca4591c3d1ed191bc85bc0bbdbf44a5bca1971abd91047bbc83871b3e674d20bdca35a23bc4c6283d27ebc5bd545f42bd25ff903c05bbf73cb9925bbd70e299bcf1a6123ccccd6c3c1c30d63c660dc93b349d0c3d162b84bd9d31afbc44cbc0bdf07db63d78e8223d98eb6e3da108eb3c13d84a3c0c948bbc216d453cbb0d4a3d74e600bc28c1143dc4fd793c78dd8ebc0dfb31bd86d299bccea8493de395833dfaf7213babc818bbf00327bc3ab044bc31df9e3d54170dbd7f430bbd1680a1bc35f8b7396353d2bdc9061fbc3376acbd9ec89c3d0377fbbc110c283a4210db3c27e7c1bc56f4edbcf3e6d6bc2d3ef0bcf6e52cbd09cb8639a4cdd33dc54adb3c15e5e1bbd6fbbcbcb378fcbcedb3cebcd46f29bd57687e3dc044923cf97c07bd4deb823d42d5d0bcc8db1f3ddd71f13ca6e0bbbc9ae878bc0db2f4bc29a27f3bf09deb3cefa58e3c6bbfccbbbb9100bde95993bd0296193d2348bc3bb5d4113d2e9f003979e47c3cc33910bd1443d23c9fdc98bc3c1b233d0a52cd3d1a90ecba5492d53910f376bd01f6543d796846bd28b8b8bd8b5a3b3deb9e4a3da73f7e3d6c2aedbd78bffabc027c903c9ea9a2bcab36353dd590c73cf171813bc90883bd4de7773c040a33bb1ecbcd3be78c893bf01f2cbcc652423c34c0063d518a153dd90f9b3cc768183d3856ebbce1c5f53bccc7463cdbcf50bdf86079bdd3f5ba3c526279bd47be633c7948343d6be6b9bdd9e7a3bbd2a418bd376b54bb4f88ecbc475ece3d31df30bd1125d8bcaa2783bb3899293d44475f3dd43ccfbd3e32bfbc06473d3db10d343cbbbdc7bc4dc345bd824bfabb79f2f53dd20cf0bccb7db13da0e7a1bc139dca3a605672bde746a7bcf527633d92ab12bde27be53ceb7c353d9bb16bbd3c6216bc9ffb59bba13c393db1fa11bdf0d1ce3c77a0b4bbf8c132bd432c8cbdb5588a3c74560a3dd02dbabdb26612bda48329bd4f1d6abddecb863d7b78cb3c258ca83d79e38bbc7823fe3943ffd6bb2cce223a75b7b63d6082bf3ccf88563cab6007baf52761bd485aeabccbe081bb49be283d5064cf3cc5416639331aa1bcb1cfa33d146217bdd73772bcbe8fa83c73c0dd3c9d5041bdf8a51fbdf55c0dbd5eb842bd4cff963c693c80bc681d5fbd68edab3c779e9bbd2252c53ceed57fbc07d21fbd7c1b6dbd8d85b13d5b8206bd4c43aa3ad7a8773cd86b1a3d717c6b3c6a711a3e7d3027bdbc24cdbc75115c3baaec58bda56c983a5473fbbbd718f5bc79c77cbc3f238dbbcb72663d726bebbd4bcc173d7e82dbbd1ec6393d08741dbd862b5dbdbd0d693cdb66a3bdb18d853cc21e07bc4c36a93c80c075bdbcf643bdfd8a8d3b43a8e93b99e536bdf982bbbc', '\x9609f6cea9a9065437ca52d2cbdb6c1ed54cb2967da41a432f5c579870588a43', 3, '2026-11-30 16:59:42.500075+00', NULL);
INSERT INTO public.templates VALUES (6, '01a22d65-e639-7cfd-8979-c4dc448ad9cb', 1, 3, 'face-1', 'image-2-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.6, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x7fcf52bdc023913cbadaebbb34cca73ccdc8973cd2bc89bdfa3383bc3d7733bd552211bc8acc323d880e943dce25d53cd4444abd833ea2bd7599883d9539bb3c0db6c03de30e163d4fb9ae3c5a8fa8bcd2e42d3c728d0a3d6d8d15bde0aac6bc997151bc97946bbc27d2f73b9b71ff3d840d323c65fa9dbce90e37bce71122bd4fe4cbbb8891d73b44a3a2bba2e4b43c31851f3df1e005bd6609dcbced6a88bdafc27ebcece819bd21c44a3c6ad2ef3b71d190bc8e06463d5ee7debb59cc1dbd2a02ef3c85b1f03cde5700bd2d6b513c7544293d37ebb2bdc606a83d671003bed9b969bd94e660bc1bc364bbd38ae3bc51f06abc063588bb2aa5573c89d6afbd924bab3cadfdee3bcc440f3bc4f8f03bdc89eabc3d190bbdedf3073c4403b3bc9e1b0fbaa9e3753da976883d15421ebd716dd43c213bf93dcbe87d3c8e1bbebb9a4ec9b858d230bd8bdd083df128473cdcf7363dc3f882bcb7501e3c510182bb4526683c6e8514bde4696fbd41de7c3d72fa2039ba9f33bc61531f3d72b74b3c3e7546bd02e24dbc01a7733c080f0dbb3de795bcd02535bc34fedfbc8fc5f13ca07f60bdcaf5b2bddd2586bdaf8e313d796cb73ad6587cbceac221bc49f6b1bd3b65d93c42de033d8eb65e3c871226bd0ceb873c9cd9d73cb625b7bccf8f00bb87aef83c4af14b3df358483c6035843cada7583d4e55293d30ce2f3b028ad73b356679bd39b39cbdbbdec4bc30920dbd3364273d7b3bc4bc437934bd44679bbc04ad4fbd95b9cf3a5d92de3c382b2dbd3bcc24bdc707ccbb046c8c3a1868a03cb467c8bcc80b2b3c82849bbc7d95f3bcac194ebdd4b5cdbcc2f11fbda12a2bbda04d183d3c3c95bdd4cac53ca3a639bca137133d03c681bd20aca7bc869fda3c2bfe603cc026adbd564702bc27c446bd6bfa213c66edc33c0df230bbd3ec233d9f5bdbbc9211d63c27041c3df6078d3c118b653d2a66233c2f69033c11dd753d40e94ebd8e4f24bd40a701bde3cba4bb9a5558bdd5a616bc7b38ca3c3260c13c26ccdc3cde1109bd7e07da3c5b790abd8b50b1bc66712ebd0956b73bb037d23d1785be3cad20cbbde574f8bc998f15bde52c8cbc4b73503d5f7357bca6580abd190f303bac7d01bd306f08bda6452dbd2852a03c03992b3dd47557bc40232b3d9b2c243d00c00dbcef33b9bc049c8e3c051d2fbd04eeb9bc6b8c9abdcf0550bc771d213cf8b01fbd562f1ebda397123c56cc1b3ddba4e73b5bbf323c48f5293d40291b3c863ffcbdb91bcfbcae7ae8bcddd6adbd41596bbc16da4c3d8fad0cbd48a8183cadc9ec3d0867c0bc0d01a8bc2b108f3df5132f3bb8504cbd63af343c48066ebd54d090bd9836453cd5a42d3c945140bc4bced03c3415dcbc2b38a53d9797f7bcbb6db03c4547e4bc26f8c43b0692913ce03a1b3dc712903d7fc42b3dbd8b5abdc4b331bd2c82f93b6600b23c464c943d751e8ebc317e9a3c70a45e3d44bf323d3bbb19bba7e08abd573450bde2ddc03c04e9143ae37b543d08a6dd3ba343093ddd28243dc753e23cbab3f7bc3e30f7bbeb53123c81f380bcfd581d3cbdff933cda5991bda3806dbd5cf0d5bc8623213da3d21ebdd9f9b0bc27cf543d736f5abd22b6d0bca6c3943c7e0cd2bc723b473de746c8bdaffe39bd3fb7f93b8db5403da5b8e23c9515c23c2acd44bdca13af3d4d939f3d6d331b3c118424bbb50158bd715fca3cebc7d43d9139173de423243d19be463dbfac1dbdf342603df86333bc67f129bd7eec9039bfd7a23df96d8dbce2d0443d1e1868bd1f3cdcbcbe1801bd4ca128bd1ad654bd7ce165bde000883c4aeffbbcd4cc66bc3be534bdf661693d0fa0373d482c933db2a7a1bd0918273ad7b3463ddd6372bb5e0c4a3c750b9d3df5eca1bcb8a191bcb135f2bc5205a53c351fb1baec2668bd6782d9bcb4617b3d6bdcb93d047f00bd9b0f65bcc160e03b3ce3a5bd78cbb9bc1585ce3c6cac3dbd92df3ebd0953843cc6d0903d9867d83d066613bdf9181b3e47164ebd9bfa1b3de870313dfe2d343d2992163d88b93bbddd93953dd71c943c080988bd1c54d03d930f0bbc9f21b3bc1841fabc7d56623d6d57663d83075e3c85106ebc5fc3953c97b1903c5bef44bd6aa27cbdd62cd73c0aa5253c84b19b3cd08b80bc58768c3de9c4503c77a32cbcc86b653d9fed24bdb7ae8cbc7eda953dda0c30bde234813c85dc4abdafd100bd37cd4f3d82ca0abdaea862bdf45484bd9c8544bdfa380b3c941fdf3c5089933d1e0c0f3d9c5a4cbce3b63d3cf5eb303d1adb883d376488bd94ac1f3d8ab7133de9e2573cbd6016bcfbcedabcd52b403dbf10253cbcfa533d13837c3be46f043d3d29333df0b79fbd11803d3d6ddaacbcdd5b093d2403683dcb9b293d2c409cbdf1b3573db00fafbdb3d1813c0ce99ebdf9c50dbe1e1dcd3d74f0093dc4510dbdf8598d39797f2dbd32ff97bc77feacbd1422f8bc8a4d5fbd0337a8bb8c23863dfd22253d8f5bdd3d1481cfbbe7f4bdbc1557f9bc3386b5bcaab3493df87f88bdc659ea3cebfe2c3d560211bc835491bc64ceaa3a1c1d72bcedd8eb3cc6673e3d12c0e3bbab23d1bc50d7a93c992aeabcbf2c153a1425c63d5209f43bbf84863c7e5480bdce73353c4f7dfdbc9f65ad3cd8fdb6bd584386bd9a96883d6a29efbb6d71653b480109bd4be1633da40a053dbf6ec13c6d059f3cef1db13d5283f0baba273a3bc5b6b03d8e5f9ebbc693f63c7cba3f3d2f0be93c5ec64d3ded42af3da701c8bcffe6c33c5a82b53bf485a4bd62956fbc8bcc273cd5c8193b4ea344bc8455d4bcccd3cf3d7c720b3d6e0f073c183c8fbc66b13d3d50e9673d0cc5733c8d2db1bd7cdb7ebcfbbda83dfbef89bda749253d', '\x39c8386b0fb0ae788f3de3e891d07347ddb83106d5b6682b54ee05129499b05e', 9, '2026-11-30 16:59:42.521015+00', NULL);
INSERT INTO public.templates VALUES (7, '01a22d65-e63c-74b3-be14-269f8fbd8064', 1, 4, 'face-1', 'image-3-0', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.5, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x2c2c603d0013753cd073de3c2ce74ebd5f409eba3427ef3dc38902bd76b2a03c43bff73b32da1a3ca342713d9f26c8bcca4f3c3dfafb37bdad6e2d3d4ceba43b548f88bdd5573e3d2e0f30bd717db2bcf1ed8d3d2cffaebdd80e05bdc99d293d38f189bc0f9c933c6f4bd63b28d4a7bc7c8a84bc5bbabf3c9b0eaf3c531d7ebb9108e6bce53894bcf6324cbd0741903df5bf393da3411fbd643e083d15a8203ce0ca9fbb71ed4dbc2ce6bebcc7502d3c08a35cbd22e36cbd43995a3ddfb1a8bcc2ae043d77df6d3d4329003daef4d43b050b803d849a213dbd79c23a52c37d3c496da63d3292e8bc31f8f8bc101140bd3d95c6bdbd6381bd8da6abb9bb1235bdd00758bdecf548bdf2858b3b97e0013d57fbe6bcedb1aabc497337bd790e95bc4436a43db07c7fbcec04f13ca4cd3d3de2882abd8de609bd9044253d1716803c0cd2a1bdb689cb3cad4b19bd4b3a81bdfe1514bc7981abbc5c9194bcb27e51bca693303c4bf90d3d3faf31bdc370113dbd0f4e3dbb5b3a3d7c1f54bd5436d43b7112ccbc25dbb3bca9e67dbccea845bd8e93e1bcc8abd63c7942b3bc3ec1863d6b3407bdac98413c446211bc7395e23dad1c643a51ea88bcefcee6bb4aee523d79c388bc913b723c4548c03da5f4b5bce2348d3d8661853c6938643d446c14bdf4cf83bbc132c03b4c1783bd604bdcbc0de2223d72494bbdce3928bdbbd672bc9728bebc0faca13c63a684bd0ab4aebcca0fc4bae2da3e3b45374ebdc3c129bdc35910bdce4ee1bc3a68143df34548bdabc06b3cc0a86b3d4fb95cbd1f95913dc27ff5bcfd0c53bda6134fbd29d11fbdcd0eea3cbe89013d03277ebc011e09bdd27e403d89cff8bccaa63dbc77aab8bc9cfe38bd2e3b38bd0d0844bb479508bd41f9e13c16a0e0bb80fe0dbd5d5814bdc0a459bd8436053d1d876dbdf18d5f3ca3fb16bd84628abc80dbf8b932933c3d8c6772bd8c0deb3c9a0577bb8f5c573d9bfdd23d73b12ebc7a58483d12eb2e3d509f49b97e4a043c0a8a0d3cef118dbc37f733bd9313853da5a5983c2fd2923c556a9ebda08ffeb87305673d44a767bc2daa203cf43de2bc911550bc6ea229bd254bc83cb8c09fbd4e8b97bc2715763d3acee23c5555aabc416ebfbc5a98563d9e02ed3c9b55f0bccd4ee0bb451320bd57ae543d93a6cd3d7cf6dfbc10c51abe4f9ed73c18625a3ca11e383d4e45043d5a20a1bc8aa0e0ba193585bdd91508bdb2f6ea3c216864bdad16383d54eabfbc92dabbbd1036e33c7837933d9a6a60bc3a0fd8bd0dd086bc2373973db662c4bc0ccae0bc23ab2f3d5a5e823b12d93ebd3e6cab3adb505bbc4d0815bc9b467abc1114213d07d50a3d2ba334bde8293f3c1ca5e73c50d660bc1e008c3d1189a7bcc62e83bce368d83cf6948abdd04ac2bd7b70b93cf35c69bcbc00afbc2e22c5bce7a410bdd6b5b33c708168bd1b324c3d5cc2cabddf19de3c8c2714bdba6f2cbce176e13cda0860bc1e7150bccaa2513d69f0cdbbbd27993b97c5213d8d23543d1b561bbd056f0b3c68a538bdaea0763d70e00a3cfec434bc3487a23da70dd7bc43f8bdb96784e43d2565263d83e77ebde006833c1d5e6ebdcc3d4b3da097db3c1a5daabcfb16363c8bad343c6b370dbc06f203bdc93383bcac2e9fbdbd5157bc4002e23cd3be10bd68f61f3de479fbbc1f028c3dd9ae083de9ab31bcdd7f64bdb01004bb14b97d3dcc1420bdd7564a3dd2f9383df1d6843d89ef0d3d700de03bc74915bdfe61223d340248bb6c00f83ceb4a8e3c33351f3d53b461bcf6db833aabdb5f3da7538c3cd1bab73bdc9f4f3da61822bc480b3bbd5507a93d5908d83cf59a3a3d401c07bd2b508d3cc4d5a63d6e2d0bbdb070d2bd8efed4bc656c00bd9da9613d0ae65bbc23d5c63c62f452bdbdde7d3c16cd763dce31173c797951bd906ab93c6e3b453c18decbbc9ebbe5bb8f597abce0d3a0bd2faf463d07af133d67dbd8bc2d02fbbcf0d8853da6971ebc8da4743d775e933d420f35bd25b4643d12947fbc674c493dd9c6ecbc26c767bae022163dcda6b4bcf038a1bc6a73b5bbae952c3b33b5dbbc87f407bd20d1d63b2e8b71bc979cffbc14b4bdbd3387ab3dd31ab43c33b8d5bd2440b43c4d0b953dbabff03c4927a03c8697c03d2094ae3cef2aa03df27c113da4b9ff3da4240abdba81023dffcb82bcc189013d87987e3b68711d3da867203d6061943dc8997fbd1415373c6dd5bfbda04e4dbbe103da3cf762ffbc471625bc86ac2bbddf40d0bcf058bb3cc5e5453d2901c1bd877f6dbcac852ebdc80ca2bb548187bd34f65abc4efa05bc9bc9b63dd773923c9026ae3bd88507bcde40dfbcc75214bd0645563de0b325bc1c818bbcae4d8b3d2c559f3d42be7ebcb45f26bd82c33a3d59ea5d3ded7fb7bd779011bd00fb0ab9485081bcd0454fbddd17d3bc6fdd1abd49ee14bd6deb9c3cbb7fafbcfd800cbd82b3383be7e6ed3ccb530bbdd4a4d5bc735b7bbd6dd9963df96d4f3de68b06bc9c3bc239fd70ad3c054d8e3ce1deba3d6a3ecb3cadfeafbc06c81ab9641769bd8e1b283d09a1243c0856b43d2962233dab25e0bd84ed10bd714d6ebb0d8c8ebd8de9cebbb64c43bd57aa3b3c89a112bdcfb33ebdfbf3603d88a74bbdbc5238bde78819bd62553fbd2b30153d707b97bc383bc0ba7e19163da02fc43a3a9e953cd9c9f6bd4258a53cfa8cb53da2199d3cbe04abbd84a6ffbca7065a3d962e423db949e83cb4d8bb3d222d9fbb53373f3cdd7a9a3b13d8143d09ea96bd66d9963d20257d3d9f680cbca666283af9c238bcab12bdbc7488f4bd693ab13de294e2bb7fb82bbdc3f2be3d72a1153cb3ec4639c3fe8abc9c9106bc42634f3b821be2bcf816f0bc', '\x66a47335d274eb324db790534c70e627b22cece2b98bd54c160e57dda4b490a2', 11, '2026-11-30 16:59:42.523664+00', NULL);
INSERT INTO public.templates VALUES (8, '01a22d65-e63c-7832-beec-fad3126f77dc', 1, 4, 'face-1', 'image-3-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.6, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x563ef23a864a6f3b250b8a3d94d791bd36ade73c8fc9773d3a7d803c55b3ecbbdcd01b3db30f32bda302dd3dd2a30b3b789a683cecb7d6bcf198183d3e0b60bd15919cbd68928dbc828e3cbd91050abdcbbc313d84a21dbdf42a12bda6f6e03ba25f6dbbb77a893ce534cfbcd2ad2cbde584b83c481f813d7a9a873cb762a9bc2e13b7bc894f9a38134ece3b9ac1903dba92a73cfc9c02bd3c46d93cfe8803bd27021fbdb96230bc588bbbbbe9d935bc3e2546bdc5e5a6bd8e1dfcbb08dd1cbdee3b1c3db432843daabf373b0c89c53bfc476f3da376cb3c03c939bdaeb6ce3c0d5cd9bb79a104bdcaff85bc7f52f5bcda7c8bbd6ff683bcea1c1ebc4c7ee6bcbe6b2bbd822816bd44c5ab3cd9332e3dca0549bd4e3c973df313763c6bee9c3b6528003c04f493bd75e9c1bcf0d9b93d9bc8373bd45a393c47233c3a5164863c65a48dbdb88d7fbd7e442dbdb472c8bc2b73f5bcc22178bc981908bb8f3f72bca6f9843c7d7109bdbcb068bdf20586bce881a03da9a7a73c0dca72bcf25c303b2be66ebc11fa183d24d4753c759a9bbd8de2423ca28f0b3d528087bc2f6fe13abf1b8ebd5aba96bdc78f1d3c0bb7de3df900503c89494fbc16bb45bc63f793bc6411ce3cc16fa5bb8fd9683d01c05d3cd718ce3d1bdb38bddb721f3d523700bdec6223bd4e98db3bff38b8bb0376b7bd8f54883c32eb5fbdf7720c3daf60733d43691c3d405bc43bdfce15bdc45db3bc3d0a5cbc09d01cbb45af123b276305bdc26da5bda3d81fbd4f4c493d785841bddfce383db5038e3d7dae5dbcb930dd3b8fdf5bbd1f17e33af090a0bd87121a3db814fa3c3f50bbbc59c0cdbbfc8c0bbd619dc93ca36086bdfe06f43ccb9e1bbc864affbcefc841bd968e35bdebaa513b39b9243c993e0e3dd20c8fbbcd82703b38aa103bdba5733d7af24bbd4c06d63c20ec323c74259bbd543b10bcee0a383d954e17bdb809a43d800fccbc40d468b9fd84b23c563cd3bc7b1d4d3d32589f3a6baf073ddf3519bddf9aa6bbc601b6ba8c9102bdebdfbb39be2e36bd8bd7433d96b5debde70c11bdf1f42dbba99f02bca4d428bdb0d2c3bdf507263d3ea4023d78feb63c33fe81bd794158ba3e484a3d4f27c83ca86b0dbdfdf18fbcd818573d869ff2bcebc17cbd4abf093dcccf25bd1193183def8bc23dee0e77bd91e4a4bc66acaf3d5811893cb95e493d67b21b3dc015a1bbcdf89abb81e199bd313602bd54c2e73cf4a597bc9e38df3da5d61b3d85588cbb62e958bc87c7ab3d52da093c436040bc9867f23b43a8b83df1dd1fbb4ee0dfbce418363dcb5d3ebde60cb6bcd3e624bc8d4d70bdceeeb63cbdf6573c8d2b513d43d2b13c221804bdb7951a3d13f60c3db5ac6a3c96bbbd3c609316bde41481bc22cd8a3c8d65a1bd188f8dbd304b8c3d627509bdb4826d3cfacb10bd74179cbd0adb00bd296082bc37ff063d5b4626bec818503d4a05a5bc1b5b84bd39d0613d03ede6bbee4a48bd742bb93d49fb103c920f623c9a36de3c82c0803db47a18bdf323ab3dfcf160bb1b15353df028983be7bf5b3b1b9c513d7b42273d6200ca3b1632c83d766d283dd36934baf587a63dbaec10bdc1c0113d8519b53c7ee11abdfba201bb55df9e3cab36c3bc440653bd09b9053c765bd3bc3fc529bd324030bbd45d65bd3afdac3bc147f7baa4606dbc4b1ee83c1a439dbd43673abd471495bd4ca3593c888423bd4ad1dd3c1e8e3e3deb0f2e3d6fa8253d638c733b179c77bdc699973c7ab5cabb9aed6a3df8028a3d33ef293d0b18b23da4484fbb8dd1c73aee9cf83c7d37de3c3f56003d0223a83d53d8babce1bcc03de1449a3b3d6b3dbd7776fcbcb737babcb5629c3dcc81bf3bc31454bd5d696a3c971a1cbd2c3a9d3dad23113dd099da3abf54263b2d3b2a3d05e2a63c6e64853d1f26d3bc78fbbe3cf5f2453ded9fa1bc8d5721bddb6158bd049781bd2d245dbdfbc4d0bc0eab03bd95bf3fbdbcdebd3d5ff97f3c1c8a0e3e21e6693ddc9ef73b70c7723debe02dbcba0ad93c179a7a3c6a70ff3b535fb33cb8fbe8bb8634993c91a121bcc5b0ca3c4bf89abcb0d30ebcaea4f7b96a04ffba7b6dab3c1d849e3c86c2b03db527013d372c39bbf144903c4f540b3de92233bb639de63c64c6073bd2eaecbb0466b13d19619dbd1051953dbe2d32bd34b2383cfbcd03bc80b7de3d2914b63cd2338b3c907a303d66ac1c3d5a871cbd26276fbda80882bd57a4bd3ca500c8bb4bd84e3cc00f8cbde688edbcc4415fbd5bce4d3d6312403df32b9bbd99491ebd15d5e8bc3fa033bca0ae49bd293f713d17e68dbde249933c6f71b0bc2297073d99f069bc8e5e07bdf5ec31bda6598f3d571f913c50c9adbc30721ebdb6ab7bbd36e224bda088d6bc958bb73d31c1833d416607bd04587ebb77ade73cde9713bd85c4e8bc4b07153d1e0089bdc93dd3bcb6ee023d30e02c3c4d69f73ccc9c1fbd20adb93cbed4e93ce87f8a3c24d46fbd109d453db144fdbb8e3fedbc2aae18bd12e77a3dfc6e2c3dd592e93dff91a43d2ba3373c19d7c53c3749e4bc6d043fbd0808b73c99ad963d35b785bd490fdebc7241bcbce3832dbd84530dbdbc768bbc310acebbe219653d9d6618bdfb138bbb5e99c03959b08ebbd3b0123bae617dbd4c283f3d192bebbc77a9cbbde1c378bc59195c39fb7ba93c7c9dfabb379ea139dc630c3d4a9e813de82f053da1746cbd012279bc34cf3a3ddbfcfb3d7960a53d32910f3d1547c9bb1f5be53c0dd7903c2b72963dd810c53c16fcbfbce251023d95c218baa10900bda71decbb7effecbcc236a1bd9ae89f3d29caacbcc2231abc9ee6f33d65b2163d1649f0bc5f5d5cbbfab0b3bd41fc9abdfb5134bc1dc8c23b', '\x1b0b9fb6c13bd62da49cacb6fc93bc015fb5fc36534a17846d144c543403b204', 12, '2026-11-30 16:59:42.523664+00', NULL);
INSERT INTO public.templates VALUES (9, '01a22d65-e63e-7117-a572-8e1624a0852f', 1, 5, 'face-1', 'image-4-0', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.5, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x40cb3dbd8fc8113dc891553c76f94c3dc043dabb6fbc03bc3f0e383d41d30e3d5b9b3e3df3655cbd141599bb7a0d46bddc9a49bb92d6a13b7354fc3cc3f872bd96cf0d3ce6c19abc55cd8abc444133bd60851b3de5a44ebde1d9093cd8b7fb3a4d5e1bbdcc1545bdbdc577bde8b6e03dff7863bd3f41323d2d71ec3c0fc89c3b9bc794bd757ca7bce31d6f3d690e13bc7fe7edbc13d3643dd0f3ac3c25fcbe3d45601bbde8a53b3cb1cfc3bb6f65c63d7904bcbd433b51bd5ffa3f3da0c446bcaf2cbf3dd7f30dbdfb9a5b3aa389c93cb5b7333d9a4cab3cf52a5a3de783133d2e95443c47d658bd8cf1233cf3d59abde7950f3d63a65abd1523853cf1f51f3db3481cbd771927bda39b5f3c2dbaf9bbce60043d9ca8ebbc4a3a373d0c4e87bd1b3c8cbcf62bd3bda7000e3d1ab8a7bc2052f7bcfa924c3d9a4e493d5f4dbcbdca6898bb759391bc92cb7f3d29d3b73d85d7ea3c8683b2bc12f254bc02a73e3d80992f3d2eaa7a3dafd73abd10ae0d3dfcf035bd1bfec53c75da013da25606bc40e833bd73bdf53c477d113c9a9d5f3d2fe0403d81bf4bbd0d5bf53b3bef943da1f9673be17d9d3c0af6a03ddee85bbcfa87b23c3cd9583b1f79883d07fa5fbdf064f53cf0b56a3b7fefcfbc108015bd311198bdb43505bd5a8380bd868d563cd7d479bdb31ce13dcbce3c3de97ad33c61f716bd7b051e3cd15741bc40ea24bca85e303d9280fd3bdbb117bd7676d9bb56d84fbd6cae2a3d1f82283d2537113d9df925bdd46c65bd1a8b9bbd38ba1cbd2db1833c3f3617bd96b882bce69c21bd94f15bbcb20cb53d72bc9abc378d12bd7553a43b65a72c3d41b482bca3fb76bc4080a1bdd7bc8abde88bbb3c49a0123eab9b10bc400091bb254af9bc4d8426bbecd7a1bbceb7a13c9dc0d63b566ad83c0bd042bde709623cdb04493cdd3e063dd430063cb2a6a53ccde2edbc0a73823d60f7413da8d6d6bd68d9813d42c4c93d015418bc18f0583d92ad8ebdeac7d83c24a13abdfb43bbbc7a08afbc8f8661bdead904bd07f4bcbc606552bc7223053c50fb45bdf88f35bdd3c1993d5f61983c19fa64bd692a633cb618af3d97d3af3d9976033d8e9e423b69ca1bbd08d70c3de10159bd2db44a3d6fb4923de3537b3d2c07423de039363d539b5d3bfb578abb5f8ff03c9667ef3b52b623bc02aa313d717578bc649acbbcf2d361bdfe8926bd9d6da83d375f8c3dcbf2ae3c5db4823d527a483c5fdfa5bd6af06a3ca1572cbdf9f91e3da5dcc0bdb4cae8bb230f03bd9aebf23bcb17d53c3df7343d3bb4a03ab41e88bd9871853c8da90a3cd9628e3ce75c1dbc1b109d3d9812a13d067e013df03e00bd159339bd460b58bdafb8eb3c99353fb80d03b6bc50b5a33b96e5e2bc21b11ebdfcb5143dae18803d420da73b99ba3a3ae6fa11bda1debc3cbf7222bc8f8a2ebdb54337bd09c775bd2c788abcf4d230bbacb76bbde1fa14bdad33e7bd4ca4583c8d39bbbd924f1ebda0b8bb3daf00f73cf5d7613c92d703bca09bd6bb79b25abd1e527fbd958121bda346583d041d41bb19ff393ca32b1bbd718f853b717e8c3ba4ddae3b6923dfba6e7bf43cc64999bc524d9ebdbb120e3df2dba33ca21089bc87797a3cc21f203dcb80ce3c524ca2bbdab6983df35d20b9a5785f3c3d5bfe3a4a7557bdb2bc9ebcfac042bd433b43bcae232abcbd541ebd82fe87bcff57b7bb0a7d83bdf948b5bc5d80233dd09ecc3df1fc743d287dfdbc940525bd64da20be780540bda84684bbf052cc3ceba77dbb037999baaae9c33b29b9b23cae54953d900c9dbd74e8cabb067ab8bc160b353d5ac3083d93625c3d8464edbd0051fd37d1c1fdbcdd6c5c3ddbd7e63cbf07323d88de8c3b4df14e3db78d223de0282e3b9e54473cc15c06bd08b7cdbb996848bd3063a83cb5512bbca32c17bddbc3debb453e51bc1228423c6716b0bc06781ebdc56039bd80174fbda7de8ebcb8d907bd348b673ca0d040ba36f32d3dcc73e3bc8e690d3d63b126bd88f00ebde49d973cf146843cb17741bc6acc45bd5c9de53c4fb3b2bc1f95c4bc66dce6bc5891a03c75b6c53d12c9ebbbf6d79e3da0ecefbc37eac8bd32b47a3dcf9001bdd9c94e3d4726433c59d504bd6514133ce54031bcfbd7a0bc83c8873c7b7b06bd04cfcaba8715943c48a9a23d4ce724bdbfc6e1bb27bd0e3d54b20e3d99c9c83d89f90a3d085146bb9ad7983d0c59ed3c10b4f83bb47a08bbd1263cbd5e4bbdbd96748bbc236f3ebd5e79afbc0569ccbbf51c04bdf2fe02bc956dbe3c4e60cf3cef5a2a3db1998c3cff33f9bcc5cbfd3c9089703d9d4d383c4160653db7a6dcbc8b5d523c624d47bd745a58bbf31875bcacf685bd0cee46bb2609ca3b89daf43c30d68abc588630bd23e32d3c9d57ad3c05e423bcdc5c80bc47ade1bc41c8033d14e24ebd1380413c1099d93ca1e7f8bcc743653d00df65bcfe58353daa4a673d29431d3d63bd2f3d4aa4893ce9f9c13c5dcc1a3d9eb9ccbcdf02863d675496bccaddaebd4522b83c4d58f03cd06f95bdb8a70dbda8a588bd0385ed3dfd12913ce95381bd867df53c67ef25bdd800d03db50123bded7718be79458abbfdf3d5bc8a9b52bdcb2b41bd0aa62b3cb57fba3d78b300bd7a1f913debad90bc7375ca3d86526f3c041d25bb65e19c3c4cde1f3d09b772bd79ad153c24f62dbb9f4e75bdad408a3de680a03b88cc74bc787d0abdf440f5bc47b883bda21b8a3c08a229bd50322fbc2c4ab7bac40543bc2926973c6e7417bd107474bd122e34bd65b1f0bcc79f173deaf1c23cdefd933c1fc7b5bc19018a3c92f098bc16e0a13b3bbbe7bceffcd9bc7496533dd261853cdc7cca3a8067b03dbafc003ce72c553c3cea023d', '\x5b164e4629e08f45db8815a4b7e2e962ba825ddb2ff863e0ab9f74fe1922bd9c', 14, '2026-11-30 16:59:42.526179+00', NULL);
INSERT INTO public.templates VALUES (10, '01a22d65-e63e-7ec5-9644-01c841d0fe09', 1, 5, 'face-1', 'image-4-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.6, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\xd9af50bdeb997b3d7b1ee03c194c263d8916b7bc2704463d95ac4a3d88a410bddcbd9d3cc6bf8dbda826f1bc2cbb14bc449a7d3ccd75043ad489f83ca308133dcb7edc3c57aa10bdc656e6bc4e6b50bdfbd8d23bac96f1bc22b796bb74403e3cb9698bbba4c016bc352781bd2ada5a3d4b617c3cb302363dfbe6a43cbd66b63ad5025ebdc23cb33c7667d73d379d0a3c5b222dbd3205123d33bde0bcd692993cd51795bc4f1c803d97372ebd02d5e23de32960bda3b888bd2638d6bacf44fbbad40fba3d9ba3c83bc19088bc6712acbc36200d3d6ed52cbbda638b3cc90beabcdcea7cbdc043d93c40880b3c245c3fbd46e3543d39f6f3bcdeceff3cef06933ce85efe3c2eac403abe18103d66eb383deaf1003d128e86bb5671b13cd45b11bd79e71a3ca39734bdfad9713de0a4373d380e63bc75de473d964b4fbc650fe2bd2027fdbc91b72fbd3994953c4af6683d184b8fbc7cb759bdb55933bca227ca3c5c386a3d01e8d03b93a136bda0e82dbc366e163c2b012b3b1813323db24cbabc777b1cbd015e29bdf48753bdbf6b19bd66b5f63b3cf18bbdaffb1cbd8d8e6a3dc0c97e3c5c19893c1fd04c3d117ac03ba0cfb33c2785fb3c0fba3b3d6292debc9646fd3c6d25b33c208822bddb02d9bce30f32bd7137ba3cb0ed603c55a186bc9b3f8fbd2056b43d8d75c1bb4d4c65bd4f87cc3b645538bc4f9499bde5b81cbdb17d0b3d62d3b6bca87185bd2f9dc5bc16a5bf3bfd6540bd7c3d863db7aa913c23b51abb2e1e17bde0af4ebdcbe830bd0277f63cf3462f3c64c88dbd8876efbc93ba4d3a1495dd3a9dca663c648a3c3a04ad9fbd6ba28e3cfc8379bc94ab11bd6e3f8bbd3387f2bc4e62b83cfacb5e3d2bff22bd8af7883db3d2283d33cd82bda914e5bcad65043d2965bdbb288e803de5a790bd4f298f3c9820173d13e5b0bd3fa2f03cd80cc33a94e007bd9b63c1bbd2281cbc4393c1bde4e0463d7dcb773d300f753dbb4d47bc6e95b6bc2c8d1ebd348eaebc94a9e8bc7cf46e3db1577fbddfa0e0bafa9080bc8528043da3358ebb423776395393153c78579c3d51073bbbbb2f66bbf14ab8bd2ca46f3dc0fd303e6c40bd3a0385f7bcfb082ebc049f4e3c25c217bd7587393d6747d83d4b6750bb2cb21f3def2ea33c44f3c53cf1fc52bdcae5d73bd87cf23cb22bf8bc56001bbd41bcc2bb5f24f63c416c2cbdcb59f5bca84b663da816583d194007bcf9209f3ddb69e7bdc0fe8abcb76585bc8c4e23bdcd2457bd0f36193dd0d4163da0a4eabc8ddec3bce86cefbc42ebbc3ca137d3bcaffd39bd81ab663db53bbc3ca5f449bd09211cbd4589d93cdefadc3ae6e3703d0a99f8bcd0ef2fbc03b023bd232d4ebbb44e7fbdf434dbbc6a39a13d66e427bc11398bbcf43aa13d7169a33db9966abd1ca2ab3cd73523bdaad29c3d38c2d03ca51b68bd2498e5bc6ca060bcf28a893da123a1bb66dd193df5562dbda7011dbe71aee03c1b31abbdfc181cbdd253963dc769dc3c6ed04dbdcaf9a03cd79c0c3ca60a8aba27594dbd999c2bbd8e4eccbc6a3682bd29205f3d6771b3bc8f84093c70c147bc3d1467ba0d8f373c00ddb43c1fc0ecbcb5e590bd44acb03d9d4f033dc29c583c1ccdb93df51a253d6fae913c82f9a83cec23bb3d960fb9bc7c284a3c1a6c3cbbbdb49e3c2fe429bdd9301fbc8906a0bce7434ebc557f68bd49834cbd2f1e26bd8120c2bdccf3a43c9ebe3f3d0617c03d7d428ebcb4eee8bc2e74a4bbe655d2bda8d61dbdea6ca2bca8748a3c2358ce3c8a50ec3b96f59f3c8c5fd13c94ee4d3d661f3ebc83021d3cbd0569bda2ed2e3d36878b3d6b40703c868e9abd481247bca48e21bdc743843ad5a570bb81e5623d487048bafcc6363d72c9503d485d473c80caf5bc83708bbc806bcb3bcae877bc7ac0323d4a1f913d3ec5c6bc375d123d0c8a64bd4ce7ee3c7b8d703d56cb9cbd317695bc7714f23b07bab63a085b023dd1abc23ce88e19ba20aa96bcc105e4bcf6db91bcd446b1bc01bd413c6a9a1d3db2e4c63c2748f4bc898c84bd1a0dc9bc8c63113bf6a3b1bc013975bd6efceb3c38db3f3d4d5561bcadafe9bba86eb13c63a98bbd1437bdbcae972fbc1bc5d23d2ae2a63bc52d68bd67dd6a3d1bc3b8bca53b483b120608bd3b05b3bceef83fbc5b3c243d19d08e3d3c36aebcfe551ebddd88553c20db6e3d982e803d7baf8f3d6934033d34846f3dd7fdb5bc6e95c8bc858fd6bcc29f6e3c65dfa2bd4f354ebc00700abc4ec214bc2a4c93bcdbd4a6bdda9b4f3d957b6e3da0edc73b01ef2e3d12ac683df839dfbccfc5843d31f472bc57cd13bc7c94663d3e59ee3aa86690bc63f0f9bc241cab3b8b816e3a4f81c6bd3a4e84bd2e43223d7ce1e7bb2e69ca3c84d5e3bde2c1093c68b12bbc37129dbb2f0787bc4060a73cae390dbc3f3288bdc20ff4bcecc35e3d57d4b0bc18b21c3ca34ded3cde9a473d6869063ac9ae273d4f625e3c350fb9bca6306d3d7675cf3b4b1be13cc96c913d98db463dd1dfa7bd33f79a3d5e2fc4bc2245a3bdc8355cbdd50cb1bc48c9c63c222ac23dc32a92bc95d1493daf6fbfbab65ab73d3e743cbdc5cdd1bd84d6b2bc3330f43b9fe627bc941a66bd4ff4cfbc43b1a03d4360bdbc40034c3d8808aebd939b733d37f5633cb59ed93cac142b3d790e283d65a840bd075b3b3b27a614bd607187bc976a5c3c238ebdbcf77296bda062743d9a34e3bc112289bd61e0ba3b6cdb9c3b6df396bb64e03b3db29facbc1b82243cf51802bd1bc77fbd437fe73c4d7ad0bc37a8c93df365593d5d85643c50c2cfbd3f0982bc4bf69ebcfe00a43d51d81a3cd5da8fbdfbcf613dd93e5d3d5358953cdb54a53d3d2e12bd63b531bca8d69a3c', '\x2e990686eb8db36e31f64e058cee78b954637716319730173e586167863ea5af', 15, '2026-11-30 16:59:42.526179+00', NULL);
INSERT INTO public.templates VALUES (11, '01a22d65-e641-74e5-b2cd-2043fa536aaa', 1, 6, 'face-1', 'image-5-0', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.5, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x188259bcc101ecbc2ffd503c8832833cffe0ca3d588a6cbc6d10933de9b9a23cd3c2a53c9594143d360adabc070fa53d4ee4cebb2ea72dbd665de6bc85966bbdcc739abc028fcabd5145f53c3ad2afbafc62443cbe43bb3ce534c7bcdbf1bebc309b483c60bf37bd21de76bbeb3bce3be41bd63cd79c1dbd24edcb3c28f0053a66e4a8b883a5903da612a2bc4bd79fbde822fbbc7f85f63dc99757bd0e8ce73a8ed7823b627be3bb61c496bd3b388a3dcd936ebcfcdd94bb0fe8f3bc92f0aabc6019b63b4a939b3c25df353c8d55853a750da2bcaac4173cbdd7a23d434c91bd4180e8bce6c76a3bfedb9ebc11bb33bb9ae2a73a9b22853a6d2e123ded1048bdb856a73cfd1e0dbd4f12873c895c743c79d7bdbc98b04cbdebd6603d9038ba3c0e79a83d38f1083d5738fcbb37b0bb3cc67079bdc1db9cbd3d7ede3d94b5783dc6f5973b8bd3313df129e53c4025043d44bd073d864d0fbd51eb28bc811ae43d5aef393d445a06bc614c77bc398a923c84acdabcb3a82e3d935f5fbafab87a3ce18626bbce8e8d3df7b92c3c49568d3d9ec85cbc32072f3d0d98b33d2a1056bd5679a93c33af8c3d72caf33c5a3b64bcc491b4bd98e714bca7ec94bde6ab953cc38bc13c1440a63cea7c133cdc700d3ed82b383da7415e3d37744cbd2af3e0bc90557cbd49c37bbded7992bd50b8e1bc3e499bbc497d7abd0d5493bd8687bebcdf27fb3cb70acf3c3c5a4b3d89b81d3dc832833c8b37c93c9cec69bd65ceb13d7884803d48f0febc975e49bd1c5b84bcbabd7cbd33c80bbde4f6883dcf6bd4bc6a1985bcfc66a63d161abd3c100460bd8791abbbbdd194bdda32bfbb6d5e9bbcb8fca63d2b48313dd2e5743db855afbc0770243de8a880bcf73970bd6868173dee7f30bcad0780bd67072b3dd919b3bb39e313bc250fc93cdf099c3dfc72c4bd36a88a3d84e0ce3c2157aebdd94e96bdbf4b90bdad5e52bdd3cd9abc220fb0bc9e0203bdf38a2cbc27098d3d3cc604bc340aa73c7f8d5d3c450f523dc850043de57a0cbcfa0981bc31926cbd3eb1203ce96d993c2dc7d3bc756b0d3cd6ffe2bcfd7aa23bd6ed7cbd4669bdbdd0102abdb8953bbcde369dbbcc2ca73ccd35a8bce73282bd2de673bc274ff63b5ce23abc5fb70d3cc8ef80bcfd2514bd2babe63c75132a3d97c5773c40d8093d0608673d64423b3d44fc7dbc4f30d03d7fab3a3de673a5bc4d2721bb5476363d7b24eb3bfa8940bd16f9bb3df64cdfbc96c7c5bbed70f13ca06fc63d52e2f13c279c89bc3c61ad3da1b80b3d6245ac3c848c20bd6eb367bc02624a3cbe1d96bdb88463bd03a81c3daaee253d0bc5193dcac9ce3c9980733d15b95c3de50a73bd4fe12c3c3a197b3c9160b4bb9d71693b9d88fa3c35b39d3d82a6babbe376fcbdf5c386bdde504abdad953abce12d8e3d37f8b43beeae963b3dc37e3c806623bdd7d81e3c9ae7dfbbc5c3853dfe272d3c2602f2bcc3d484bda007e2bc0d9594bd798cd93b8aab08bdc031b33d5df229bd9c6c09bdc52b50bdf540a0bcbce353bd9e3d9a3cf6567e3d81ea81bc94a0333d576d04bd2058d13bcbb6b8bdf528b0bc8023573cb4fa173dfc4f83bc346f9a3c52d8863a8454aa3cd19470bc42cae03c2eba033dcbfc05bda249eb3c72f77d3c17ef95bccef337bda5bd833d3e4cd23ba30dd7ba073c9f3d297da43ca001cbb90d83ae3b5cdb9ebdb2624cbd0b00a2bd06490e3dd2b4aabd1057093d73ec6fbdaa095abd99b7a0bc3b4a843de45d80bb4c30c63cd6aa38bcc9d4263d4d61aabcc3589c3d9878693daee45a3bd85d90bc3e9dba3c7e3880bb97db143d183581bd6b2526bd0998333d030f0dbd25d60cbd4c97eb3c360d5ebd826a54bd86f2c3ba5c5715bd6b39953d92ab95bd0adc9d3d8fc7733d5197d33ca426cdbc83119bbc0b8e7fbc0a8c4d3d87aa65bd997b2abda751a83c8c082cbdde14bfbc0a637a3b648189bdc5e2053daa9f643df27881bddc5c0f3c036ef23c93ee49bc10d5eabc2b6a1dbd8ad38d3c6806403bd0d3253d10d04ebcc67b533cedb5a3bca2caf63c94c392bcfe399cbb06df813af5ddc03dddcad43c5843f6ba3b7310bddd92943df029123c4dc85b3db400473d82a023bd61b58abcf214513d888bfe3a8651183d9d4d173d0c9ed3bb7b54633cbab9653c4b8d66bdd21d303d7b9c0dbd469324bb8222cb3c78ac5e3c0cc0d2bc7adabd3c520ba3bd3a0c2f3d5a397bbdf5a3c03cdf16153d0436043c18fd093d83b1923dc5d24a3c5304f939e18202bcf1e7193dcb8a4a3d5c8593bd1674b3bb072d00bc3846b53c8a481b3cad5898bdda0607bd4369803ba5daacbca8c49abd573d953c9ca487bbf1eff3bdd4aecbbde3d0b1bb003b9ebcdb3a78bd3a0295bcf5a9793d28152a3cc8adc6bde97f9dbcc03cc7bcfeb721bd556bb5bc7f6b1e3dffbe0ebd25f531bdca7fa3bc0c2a8e3d0d9616bdfe2324bd6ecd1fbc89d6743cd16a873c6cd48fbdc6adeabb96d589bca09c57bdb22866bb53eb873c8c5b053d4d32da3cafc04d3de3619f3d6ca7cb3cb696933bcb6983bcf89056bd8d90a03dcf169fbd82f214bd65f0583bd8c9edbca2b3d1bc18d1643da4a7e0bdabd6c03c1a16893dff9b90bd4b5a10bddebcfe3ba565323d985d1bbd2f70ef3c17aec5bcf639233d4abfba3c600e58ba1d98b33ad986a6bc19d2a6bc6fb9ef3cb31aefb8112547bca2a991bde15a453dae1227bd028c21bc8063d43c63d4143c67de873d5f4324bd7eb468bc35b80abdbc6422bd87afbdbc0c1c823d8cf164bdab36e03ce34b8d3d7eb0f1bbc99fa9bd846ddc3de3ab583ce253893daa8e7cbc8fa9953c2b77ec3cc1f12a3cd845763d54143fbcfdefdcbc6090973b', '\x9f33e23bb1dd5f57e2be4d47779b0a152e534a56a7aa6ff226e3c5412c7263c8', 17, '2026-11-30 16:59:42.528543+00', NULL);
INSERT INTO public.templates VALUES (12, '01a22d65-e641-76c4-96b9-56e51fe8c17d', 1, 6, 'face-1', 'image-5-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 10, 20, 110.5, 140.25, 640, 480, '\x000000000000803f0000004000004040000080400000a0400000c0400000e0400000004100001041', 0.99, 0.6, 21.5, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '\x4c8b27bd145203bd7d2743bb1e26af3da763233db47022bd0757f63c6752483d9fc9253b71e496bb9985823aff1bb33daecd833cac495e3c2abc183de2746abd7833063d26ccb7bd76eb283ddd69f73b767c50bb8f359d3da05a4a3c75279cbc5d73ebba827d873cb49020bbd0df6d3c6b1d073d5f473b3cb9e77cbcb92000bda1457dbc5da9ac3c16ed39bd413c8ebd3e2017bdd7a2a83da9babbbdef94d73c53a10c3d8734a23d2a1addbd485ca5bc45e0d6bbc9c58e3dc0575fbd561b5cbd9c15253d4c465d3d1cfad83c781e68bdc8f28e3d691784bc73c3253da87f50bc0d3fcdbbd1bf2f3c3597a3bd7b706c3b28f96abcc1616ebd2041eabb9f009dbd03b2d43cabe227bc19f515bd1093eb3cbe314cbd7bebda3c8253783db31ea23c96633b3da04eb43dc49da6bc7b44ccbcb34983bcfc4bcdbdfa5bfa3dc8a6b83cc30c41bc104634ba835dfabb54b6773d804d2a3d0bf06abc21fee1bbcc5f083de986f43c1466833aaeb07e3c3c78aebc1e300dbd0d556c3d88b1ca3cbcef04bbd46cb6bcbc0f813cc5d40f3d455e833dd89185bb4a68eb3b2d68b93d0788bfbb9e25283dc4b5933b35df893d8855033d331a6cbd522bbd3dbaf4903cdf0799bd1f57b33c4dca573c84a8793daaf2863d7749203d369dfb3cfe8259bde280663b5fd550bd417c99bcf6d986bd737ff1bb7c280b3cd3652ebd6e3c95bdbd3536bd20afb93c7b5aee3bdcf4d23cb9e2853ddeddb2bca390c33cd87b923a7e68463d6970243d594bf13aa2267cbddff4f8bce434bbbd0e03bcbd4a15c73c006edab80393b33b6bebb63d45b3ebbc4fd87b3c5270a0bad7dd30bd640104bd5bb666bd40c8883daf69a4bca6f3863d07fa61bd5f11ac3ca6fb4bbd263249bd90890fbdb3fda0bbc4b42bbda352ae3d89c8c2bcf163b63ce014903da4d9e13c649f8cbd552505bc3b3ef33b8016be3c2fd884bdebf488bd88434fbd203fc63c7a9934bd4b3a52bc5f0d663976079d3c5678cbbddb2e80babb9e443d4b0b7e3ce29763bd66133dbd359e76bd94d402bdcd5ba3bca0d8ae3c121fc8bc8f3aaabcbfcd8e3b3721323dc8c798bd72ddedbd64810d3dc38660bdacbd9bbc9bd9053d1a7595bdf2b80bbdd2a4363c3be809bbdc5605bdeb09b7bb34d7aabcf22107bbb0e58bbdce7b953d58a6c2bcbece1e3d0c703a3d3940403d450312bc9ef16b3ba71bd83cbf7d463cba53cfbbe1a3853c94b2f03c22a8663d46c9ba3deed18d3c48e9b8bd563ea13d82fcd53cecae883c6383d1bca82e943d544415bd416ea63db81e67bda3de2c3c2ae193bce5f0eebc006ca9bcbbe87d3cebfb2abd1f1323bdffb53c3d45591f3c88f4683d5cc5423cb3face3b226cdcbc077a0fbc181300bcaa73633d9fae763d2fa2be3b47ce1fbd873733bd1d9ff8bb7a9e5f3d157a2a3d80fa263c32d4203db43f5ebd43bf593cdf1d17bc2ca9adbdaeefef3d5a8a923df612e2bc2ffe6ebc5fbea53c72b585bd7fda50bc867b3eb95935203c66637abcceab53bd04f794bdab2d28bda7392e3c5541373987ce683d9088153b0414683d35a9fcbb5b331cbc5ce6d5bdb552b43bf3d2513d78ed173dae80a93b25294f3d3eca20bd7ac2cebc087b40bd6a44fe3cd7f24b3dba0fbabc2ac5d53ce01cec3c4173343b20900fbb5f6ab73c97a8553c25b9883b0037ea3d1dbeb03c2bc5aa3b0cdf95bcb9c082bd52d932ba5f57bbbca50f9f3d8ed3d8bdd82800bcd0dd85bd59a10dbd9dbdd73c2115103decb2ba3c957f703d00946dbdd8b89ebdb877febc708a01bdb32522ba48f94fbd39866b3ce9ebc4bc01b6d5bc83eea13be3eb323cf3f427bd948c773d591ac6bde06d7ebd9b7c133d7aa5c1bd934420bcab0b6f3cd74579bd62cf163dc36457bdb629ef3c2f1e5d3d9aeaf43c3488413d1f772fbdd6380bbd26e2853d2fd3ddbd451ae3bcfa48d93caa5811bd7fd552bd653bd13c477aaabdd3f0953de8158a3bc0d4b6bd09a5133dc62faebc00b308bceb10d23cb09815bd30af683cd2a259bc2141933d64991b3cff01183c898e033daeaa27bd537850bd64b8f43b4d63d13c54a4a53d1fcc6a3d2c308cbc3f6ffabcbfac1c3df0ddc13c02d4ac3cd304823d534c00bd272f31bc7de05d3d4f3ea63c107b9dbc584c2d3d8b77e1bc5a8aa8bb97ecc7bc9aa5a0bde778b43c7f1cdabc6bf859bcc1fce4bc7c41593c9424303ca3e94a3da4cf48bd60333c3cf82492bd3c4b1dbb8cd3ab3b13714c3d8219ba3d5e98233dc7ae983cb0442a3cb80d6c3c3e2b113dca52653bb24732bd0db30a3d34efe4bc4fd5d7bc8a4e2f3cea5a42bd39d627bd7d64863df387b43c38756abc8ed6afbc1ee22f3a3acea2bc52101dbdf440aabd3280983ceba1f73b7013b5bc831acfbc5f9b333c5b4f0cbd6e70a0bc67e2ffbcab2449bd17f86a3c5248e2ba86367fbdac68efbd587995bc30334e3de03751bd2abb4cbc96f7333df5a7da3c72b72a3dbce1aa3bf972123dbfb11dbd26f8a9bd6784ac3aa911243db590c9bb63b7ca3b08d0babc58c7463dd4e2c9bb428c893d8981a8bd12a5d43c5d61893dc44e62bd988e0cbd39d80ebd8fe7ddbb82c75bbcbc60133d85b9c0bd404fda3cd01b8d3da37481bc3200093db4df7d3d4837613da2a4bdbcd4b055bc8b62563c53070ebd93be493c79690b3d721053bc7fc953bc21477fbc078aabbcbd392b3d953625bd97ecb7bd25a8743ddc36333a55b852bd7450d53c18a90b3cbc2a8c3db4d753bc4e21503d05b8c23cfca9e03bdcac0d3b899c8a3d59cdfebc23fc92bcb520a43c0aec4ebcfbfd76bdaad7453df581e8bcd05dce3d6664bb3c50ffe3bb4cb4c4bb34dc213ddbc51d3d0335613cd1cfb2bc551d63bb', '\xa9dc5ec64c4d6339d39fd1a38d032e0ce2bd6d1b8b8ac15b5b32cf6feec755eb', 18, '2026-11-30 16:59:42.528543+00', NULL);


--
-- Name: galleries_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.galleries_id_seq', 2, true);


--
-- Name: subjects_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.subjects_id_seq', 6, true);


--
-- Name: templates_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.templates_id_seq', 12, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: api_keys pk_api_keys; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (key_id);


--
-- Name: audit pk_audit; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (number);


--
-- Name: changes pk_changes; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT pk_changes PRIMARY KEY (gallery_id, sequence);


--
-- Name: facts pk_facts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.facts
    ADD CONSTRAINT pk_facts PRIMARY KEY (name);


--
-- Name: galleries pk_galleries; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.galleries
    ADD CONSTRAINT pk_galleries PRIMARY KEY (id);


--
-- Name: look_alikes pk_look_alikes; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT pk_look_alikes PRIMARY KEY (subject_id, other_id);


--
-- Name: subjects pk_subjects; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT pk_subjects PRIMARY KEY (id);


--
-- Name: templates pk_templates; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT pk_templates PRIMARY KEY (id);


--
-- Name: galleries uq_galleries_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.galleries
    ADD CONSTRAINT uq_galleries_name UNIQUE (name);


--
-- Name: galleries uq_galleries_public_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.galleries
    ADD CONSTRAINT uq_galleries_public_id UNIQUE (public_id);


--
-- Name: subjects uq_subjects_gallery_id_external_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT uq_subjects_gallery_id_external_id UNIQUE (gallery_id, external_id);


--
-- Name: subjects uq_subjects_gallery_id_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT uq_subjects_gallery_id_name UNIQUE (gallery_id, name);


--
-- Name: subjects uq_subjects_public_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT uq_subjects_public_id UNIQUE (public_id);


--
-- Name: templates uq_templates_public_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT uq_templates_public_id UNIQUE (public_id);


--
-- Name: ix_look_alikes_other_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_look_alikes_other_id ON public.look_alikes USING btree (other_id);


--
-- Name: ix_subjects_gallery_id_subjects_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_subjects_gallery_id_subjects_id ON public.subjects USING btree (gallery_id, id);


--
-- Name: ix_templates_gallery_id_templates_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_templates_gallery_id_templates_id ON public.templates USING btree (gallery_id, id);


--
-- Name: ix_templates_subject_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_templates_subject_id ON public.templates USING btree (subject_id);


--
-- Name: audit audit_only_grows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refusal();


--
-- Name: changes fk_changes_gallery_id_galleries; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT fk_changes_gallery_id_galleries FOREIGN KEY (gallery_id) REFERENCES public.galleries(id) ON DELETE CASCADE;


--
-- Name: look_alikes fk_look_alikes_other_id_subjects; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT fk_look_alikes_other_id_subjects FOREIGN KEY (other_id) REFERENCES public.subjects(id) ON DELETE CASCADE;


--
-- Name: look_alikes fk_look_alikes_subject_id_subjects; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.look_alikes
    ADD CONSTRAINT fk_look_alikes_subject_id_subjects FOREIGN KEY (subject_id) REFERENCES public.subjects(id) ON DELETE CASCADE;


--
-- Name: subjects fk_subjects_gallery_id_galleries; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT fk_subjects_gallery_id_galleries FOREIGN KEY (gallery_id) REFERENCES public.galleries(id) ON DELETE CASCADE;


--
-- Name: templates fk_templates_gallery_id_galleries; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT fk_templates_gallery_id_galleries FOREIGN KEY (gallery_id) REFERENCES public.galleries(id) ON DELETE CASCADE;


--
-- Name: templates fk_templates_subject_id_subjects; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT fk_templates_subject_id_subjects FOREIGN KEY (subject_id) REFERENCES public.subjects(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


