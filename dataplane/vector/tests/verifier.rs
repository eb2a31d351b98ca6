//! Which prompts may share an answer, by example, and that no text stops the verifier.

use proptest::prelude::*;
use tollgate_vector::{Difference, Embedder, Verifier};

struct Judge {
    embedder: Embedder,
    verifier: Verifier,
}

impl Judge {
    fn new() -> Self {
        Self {
            embedder: Embedder::builtin().expect("the shipped model loads"),
            verifier: Verifier::default(),
        }
    }

    fn verdict(&self, before: &str, now: &str) -> Result<(), Difference> {
        let is_known = |word: &str| self.embedder.knows(word);
        let verdict = self.verifier.verify(before, now, is_known);
        let other_way = self.verifier.verify(now, before, is_known);
        assert_eq!(
            verdict.is_ok(),
            other_way.is_ok(),
            "the order asked in: {before} | {now}"
        );
        verdict
    }
}

/// Asked in other words.
const SAME: &[(&str, &str)] = &[
    (
        "How do I cancel my subscription?",
        "What do I need to do to cancel my subscription?",
    ),
    (
        "How do I cancel my subscription?",
        "I'd like to cancel my subscription, how do I do that?",
    ),
    ("cancel subscription", "How can I cancel my subscription?"),
    (
        "How do I change my email address?",
        "I want to change my e-mail address, how?",
    ),
    ("How much does a passport cost?", "What is the price of a passport?"),
    ("What is the population of Oslo?", "How many people live in Oslo?"),
    ("What's Oslo's population?", "What is the population of Oslo?"),
    ("Oslo population", "Tell me the population of Oslo."),
    ("Who invented the telephone?", "Who was the inventor of the telephone?"),
    (
        "When was the telephone invented?",
        "What year was the telephone invented?",
    ),
    (
        "When was the telephone invented?",
        "In which year was the telephone invented?",
    ),
    ("What are the symptoms of diabetes?", "List the symptoms of diabetes."),
    ("What are the symptoms of diabetes?", "Symptoms of diabetes"),
    (
        "What are the drawbacks of remote work?",
        "What are the disadvantages of remote work?",
    ),
    (
        "What are the drawbacks of remote work?",
        "List the cons of remote work.",
    ),
    (
        "Summarise the history of tea.",
        "Please give me a summary of the history of tea.",
    ),
    (
        "Summarize the history of tea.",
        "Could you summarise the history of tea for me?",
    ),
    (
        "Translate \"good morning\" into French.",
        "How do you say \"good morning\" in French?",
    ),
    (
        "Translate \"good morning\" into French.",
        "Could you please translate \"good morning\" to French?",
    ),
    ("How do I delete my account?", "How can I remove my account?"),
    (
        "How do I delete my account?",
        "What are the steps to delete my account?",
    ),
    ("Why is the sky blue?", "Tell me why the sky is blue."),
    ("Why is the sky blue?", "What is the reason the sky is blue?"),
    ("What is the meaning of entropy?", "Define entropy."),
    ("What is the meaning of entropy?", "What does entropy mean?"),
    (
        "How long does it take to boil an egg?",
        "How much time does it take to boil an egg?",
    ),
    ("How long does it take to boil an egg?", "How long do I boil an egg?"),
    ("How tall is Mount Everest?", "What is the height of Mount Everest?"),
    ("Who wrote Hamlet?", "Who is the author of Hamlet?"),
    (
        "What is the best way to learn Spanish?",
        "How can I best learn Spanish?",
    ),
    ("How do I boil an egg?", "What's the way to boil an egg?"),
    ("Where can I find my invoices?", "Where do I find my invoices?"),
    ("How do I turn off notifications?", "How can I disable notifications?"),
    (
        "How do I turn notifications off?",
        "I want to switch off notifications, how?",
    ),
    (
        "Can I return a product after 30 days?",
        "Is it possible to return a product after 30 days?",
    ),
    (
        "What is the difference between a virus and a bacterium?",
        "How do a virus and a bacterium differ?",
    ),
    ("What time does the store open?", "When does the store open?"),
    ("Convert 5 miles to kilometres.", "How many kilometres is 5 miles?"),
    ("Convert 5 miles to kilometres.", "What is 5 miles in kilometres?"),
    ("What is 15% of 300?", "How much is 15 percent of 300?"),
    ("Write a poem about autumn.", "Compose a poem about autumn."),
    ("Write a poem about autumn.", "Can you write me a poem about autumn?"),
    (
        "Recommend a good book about Rome.",
        "Can you suggest a good book about Rome?",
    ),
    (
        "How do I install Python on Windows?",
        "What are the steps to install Python on Windows?",
    ),
    ("Why did my payment fail?", "What is the reason my payment failed?"),
    ("Why did my payment fail?", "My payment failed, why?"),
    ("Why was my card blocked?", "Tell me why my card was blocked."),
    ("How does a vaccine work?", "Explain how a vaccine works."),
    (
        "Explain how a vaccine works in simple terms.",
        "Can you explain simply how a vaccine works?",
    ),
    ("Name the largest ocean.", "What is the largest ocean?"),
    ("Which ocean is the largest?", "What is the largest ocean?"),
    ("Where is Machu Picchu?", "Where is Machu Picchu located?"),
    (
        "Where is Machu Picchu located?",
        "What is the location of Machu Picchu?",
    ),
    ("I lost my card, how can I block it?", "How do I block my card?"),
    (
        "I forgot my username, how do I recover it?",
        "How can I recover my username?",
    ),
    (
        "hi there! could u pls tell me how to reset my password? thx",
        "How do I reset my password?",
    ),
    (
        "How far is Paris from London?",
        "What is the distance from Paris to London?",
    ),
    ("What are the ingredients of pesto?", "Which ingredients are in pesto?"),
    ("What is machine learning?", "Can you tell me what machine learning is?"),
    ("Is Pluto a planet?", "I was wondering if Pluto is a planet."),
    ("How do I export my data?", "What's the process for exporting my data?"),
    (
        "What are some tips for job interviews?",
        "Give me tips for job interviews.",
    ),
    ("Who is the president of France?", "Who's France's president?"),
    (
        "When does the next train to Oslo leave?",
        "At what time does the next train to Oslo leave?",
    ),
    (
        "How do I close my account?",
        "Could you show me how to close my account?",
    ),
    ("How do I close my account?", "Tell me how I can close my account."),
    ("How do I close my account?", "I need help with closing my account."),
    (
        "Why was my refund rejected?",
        "Can you tell me why my refund was rejected?",
    ),
    ("Why was my refund rejected?", "Explain why my refund was rejected."),
    ("Why was my refund rejected?", "For what reason was my refund rejected?"),
    ("Why was my refund rejected?", "my refund got rejected, why"),
    (
        "What are the advantages of electric cars?",
        "What are the pros of electric cars?",
    ),
    (
        "What are the advantages of electric cars?",
        "Name the advantages of electric cars.",
    ),
    (
        "What are the advantages of electric cars?",
        "Why are electric cars a good idea?",
    ),
    ("What is blockchain in simple terms?", "Explain blockchain simply."),
    (
        "What is blockchain in simple terms?",
        "Describe blockchain in plain English.",
    ),
    (
        "What is blockchain in simple terms?",
        "Can you give me a simple explanation of blockchain?",
    ),
    ("What is the capital of Australia?", "Name the capital of Australia."),
    ("What is the capital of Australia?", "Australia's capital"),
    (
        "What is the weather in Rome in May?",
        "What will the weather be like in Rome in May?",
    ),
    (
        "What is the weather in Rome in May?",
        "How's the weather in Rome during May?",
    ),
    ("What is the weather in Rome in May?", "Weather in Rome in May"),
    (
        "Can you recommend a restaurant in Rome?",
        "Recommend a restaurant in Rome.",
    ),
    (
        "How do I apply for a visa?",
        "What is the procedure to apply for a visa?",
    ),
    (
        "How do I apply for a visa?",
        "What are the steps for applying for a visa?",
    ),
    ("Where do I find the settings?", "Where can I find the settings?"),
    ("Who painted the Mona Lisa?", "Who is the painter of the Mona Lisa?"),
    (
        "How many bones are in the human body?",
        "What is the number of bones in the human body?",
    ),
    ("What's the speed of light?", "Tell me the speed of light please"),
    ("What's the speed of light?", "what is teh speed of light"),
    ("How old is the universe?", "What is the age of the universe?"),
    ("How old is the universe?", "What's the universe's age?"),
    ("What is the GDP of Norway?", "Norway's GDP?"),
    (
        "Explain quantum computing to a child.",
        "Explain quantum computing like I'm five.",
    ),
    (
        "How do I connect to the VPN?",
        "Hello, how can I connect to the VPN? Many thanks!",
    ),
    (
        "Which river is the longest in Africa?",
        "What is the longest river in Africa?",
    ),
    ("How do I unlock my phone?", "I'd like to unlock my phone. How?"),
    (
        "Summarise this article in three bullet points.",
        "Please summarize this article as 3 bullet points.",
    ),
    (
        "Write an email to my boss asking for a raise.",
        "Could you draft an email to my boss asking for a raise?",
    ),
];

/// Near in words, and another question.
const OTHER: &[(&str, &str)] = &[
    ("How do I cancel my subscription?", "How do I renew my subscription?"),
    ("Can I cancel my subscription?", "How do I cancel my subscription?"),
    ("What is the population of Oslo?", "What is the area of Oslo?"),
    ("Is it safe to eat raw eggs?", "Is it unsafe to eat raw eggs?"),
    ("Who is taller, Ann or Bob?", "Who is shorter, Ann or Bob?"),
    ("Did Ann beat Bob?", "Did Bob beat Ann?"),
    ("Was Ann beaten by Bob?", "Has Ann beaten Bob?"),
    ("Draft an email to Chen.", "Draft an email from Chen."),
    ("Draft an email to Chen for Olga.", "Draft an email to Olga for Chen."),
    (
        "Which countries export oil to Japan?",
        "Which countries export oil from Japan?",
    ),
    (
        "Which countries export oil to Japan?",
        "Which countries import oil from Japan?",
    ),
    (
        "How many calories are in an apple?",
        "How many calories are in two apples?",
    ),
    ("What is 5 plus 3?", "What is 5 minus 3?"),
    ("What is 5 + 3?", "What is 5 - 3?"),
    ("What is 3.5 times 2?", "What is 35 times 2?"),
    ("Meeting at 5 pm or 6 pm?", "Meeting at 6 pm or 7 pm?"),
    ("Is the store open at 5 am?", "Is the store open at 5 pm?"),
    (
        "Translate \"I am happy\" into French.",
        "Translate \"I am sad\" into French.",
    ),
    ("Translate this into French.", "Translate this from French."),
    ("Summarise this in 100 words.", "Summarise this in 200 words."),
    ("Write it in formal English.", "Write it in informal English."),
    ("How do I increase the font size?", "How do I decrease the font size?"),
    ("How do I turn on the heater?", "How do I turn off the heater?"),
    (
        "Which is the best laptop under 500 euros?",
        "Which is the best laptop over 500 euros?",
    ),
    (
        "Which is the best laptop under 500 euros?",
        "Which is the best laptop under 500 dollars?",
    ),
    ("List all employees.", "List some employees."),
    ("List employees with a car.", "List employees without a car."),
    (
        "List employees who are managers.",
        "List employees who are not managers.",
    ),
    ("What should I do before surgery?", "What should I do after surgery?"),
    ("Who was the president in 1990?", "Who was the president in 1991?"),
    ("Who is the president of France?", "Who was the president of France?"),
    ("Why did the company fail?", "When did the company fail?"),
    ("Where was Einstein born?", "When was Einstein born?"),
    ("What is `a == b` in Python?", "What is `a = b` in Python?"),
    ("Explain https://example.org/a.", "Explain https://example.org/b."),
    ("What does \"affect\" mean?", "What does \"effect\" mean?"),
    ("Can dogs eat chocolate?", "Should dogs eat chocolate?"),
    ("Can dogs eat chocolate?", "Can cats eat chocolate?"),
    (
        "Give me the advantages of solar power.",
        "Give me the disadvantages of solar power.",
    ),
    (
        "What is the maximum dose of ibuprofen?",
        "What is the minimum dose of ibuprofen?",
    ),
    (
        "What is the dose of ibuprofen for adults?",
        "What is the dose of ibuprofen for children?",
    ),
    ("What is hyperthermia?", "What is hypothermia?"),
    ("What is hypertension?", "What is hypotension?"),
    (
        "Flights from Oslo to Lima on Monday",
        "Flights from Oslo to Lima on Tuesday",
    ),
    ("Flights to Oslo from Lima", "Flights to Lima from Oslo"),
    (
        "Write a function that returns true if x is even.",
        "Write a function that returns false if x is even.",
    ),
    (
        "Sort the list in ascending order.",
        "Sort the list in descending order.",
    ),
    ("Is A larger than B?", "Is B larger than A?"),
    ("Is A larger than B?", "Is A smaller than B?"),
    ("Explain the theory to a child.", "Explain the theory to an expert."),
    ("What is the capital of Georgia?", "What is the capital of Guinea?"),
    ("Name three rivers in Peru.", "Name three lakes in Peru."),
    ("Did prices rise in 2020?", "Did prices fall in 2020?"),
    ("Who won the 2010 final?", "Who lost the 2010 final?"),
    ("What does Marta think of Martha?", "What does Martha think of Marta?"),
    (
        "Send the report to Ann and the invoice to Bob.",
        "Send the report to Bob and the invoice to Ann.",
    ),
    (
        "Send the invoice to Ann and copy Bob.",
        "Copy Ann and send the invoice to Bob.",
    ),
    ("How do I fly with a baby?", "How do I fly without a baby?"),
    (
        "How many people speak French in Canada?",
        "How many people speak English in Canada?",
    ),
    ("How do I convert a PDF to Word?", "How do I convert Word to a PDF?"),
    ("Add 10 to 20 and multiply by 3.", "Multiply 10 by 20 and add 3."),
    (
        "Which drugs interact with aspirin?",
        "Which foods interact with aspirin?",
    ),
    ("Is the meeting in March or May?", "Is the meeting in May or June?"),
    ("Is the meeting on 3 May at 5?", "Is the meeting on 5 May at 3?"),
    ("Explain simple interest.", "Explain interest simply."),
    ("I gave Ann the book", "Ann gave me the book"),
    ("Do I owe you money?", "Do you owe me money?"),
    ("Can you hear me?", "Can I hear you?"),
    ("Does he love her?", "Does she love him?"),
    ("What is my balance?", "What is your balance?"),
    ("Show the orders I made.", "Show the orders you made."),
    ("What did my boss say about me?", "What did I say about my boss?"),
    ("Ist Berlin größer als Wien?", "Ist Wien größer als Berlin?"),
    ("¿Cuál es la capital de Francia?", "¿Cuál es la capital de España?"),
    ("東京の人口は？", "大阪の人口は？"),
    ("How do I stop a service?", "How do I start a service?"),
    ("What is open on Sunday?", "What is closed on Sunday?"),
    (
        "Write a SQL query with a left join.",
        "Write a SQL query with a right join.",
    ),
    (
        "Who was the first man on the moon?",
        "Who was the second man on the moon?",
    ),
    (
        "What is the last letter of the alphabet?",
        "What is the first letter of the alphabet?",
    ),
    (
        "What are good reasons to buy gold?",
        "What are good reasons to sell gold?",
    ),
    ("Is 7 greater than 8?", "Is 8 greater than 7?"),
    (
        "How do I add a user to a group?",
        "How do I remove a user from a group?",
    ),
    ("When do I need a visa?", "Where do I need a visa?"),
    (
        "How often should I water a cactus?",
        "How much should I water a cactus?",
    ),
    ("What is the time in Lima?", "What is the weather in Lima?"),
    ("Can I pay with cash?", "Can I pay without cash?"),
    ("Give a short answer: what is DNA?", "Give a long answer: what is DNA?"),
    ("Explain DNA briefly.", "Explain DNA in detail."),
    ("Explain DNA in English.", "Explain DNA in German."),
    ("Answer in JSON: what is DNA?", "Answer in XML: what is DNA?"),
    (
        "What is the Python version of this?",
        "What is the Perl version of this?",
    ),
    (
        "What is the temperature in Celsius?",
        "What is the temperature in Fahrenheit?",
    ),
    ("Was the bill passed by the Senate?", "Has the bill passed the Senate?"),
    ("Who does Ann manage?", "Who manages Ann?"),
    ("Who did Ann call?", "Who called Ann?"),
    ("Is tea better than coffee?", "Is coffee better than tea?"),
    ("Prove that P implies Q.", "Prove that Q implies P."),
    ("Is every square a rectangle?", "Is every rectangle a square?"),
    (
        "What percentage of men are teachers?",
        "What percentage of teachers are men?",
    ),
    ("The dog that bit the man", "The man that bit the dog"),
    ("Is fishing in the lake allowed?", "Is fishing in the lake not allowed?"),
    ("What if the server is down?", "What if the server is up?"),
    ("Compare Go and Rust.", "Compare Go and Ruby."),
    ("What is the price of the red car?", "What is the color of the red car?"),
    ("What is a pro of coffee?", "What is a con of coffee?"),
    ("How can I get rid of ants?", "How can I get ants?"),
    ("How do I get a job as a nurse?", "How do I get a nurse a job?"),
    ("Who got fired?", "Who fired?"),
    ("Who has a dog?", "Who is a dog?"),
    ("Who is the US president?", "Who is the president?"),
    ("Was Ann called?", "Did Ann call?"),
    ("Has Ann called?", "Was Ann called?"),
    ("What does IT do?", "What does it do?"),
    ("What does WHO recommend?", "Who recommends?"),
    (
        "Explain how 2 apples and 3 pears are stored.",
        "Explain how 3 apples and 2 pears are stored.",
    ),
    (
        "Is the sale in Lima before April or in Rome?",
        "Is the sale in Rome before April or in Lima?",
    ),
    ("What eats Tom?", "What does Tom eat?"),
    ("Convert 5 miles to kilometres.", "Convert 5 kilometres to miles."),
    ("How many miles is 5 kilometres?", "How many kilometres is 5 miles?"),
    ("Convert 250 euros to dollars.", "Convert 250 dollars to euros."),
    ("What is -5 + 3?", "What is 5 + 3?"),
    ("What is 2^10?", "What is 2*10?"),
    ("What is 1,000 plus 1?", "What is 1.000 plus 1?"),
    ("Which version is 3.1?", "Which version is 3.10?"),
    ("Meet at 12:30", "Meet at 12:03"),
    (
        "Which city is the largest in Peru?",
        "Which lake is the largest in Peru?",
    ),
    ("What is the best river?", "Which river is best known?"),
    (
        "Explain the benefits of tea and the drawbacks of coffee.",
        "Explain the drawbacks of tea and the benefits of coffee.",
    ),
    ("Why is tea a good thing?", "Why is tea a bad thing?"),
    ("Write a haiku about a table.", "Write a table about a haiku."),
    ("How do I turn the light on?", "How do I turn the light off?"),
    ("How do I log in?", "How do I log out?"),
    (
        "I forgot my PIN, how can I reset it?",
        "I forgot my PIN, how can I change it?",
    ),
    ("Reset my password", "Why reset my password?"),
    ("How can I see if she paid him?", "How can I see if he paid her?"),
    ("Should I buy the house?", "Can I buy the house?"),
    ("Must I pay?", "May I pay?"),
    ("Will the shop open?", "Did the shop open?"),
    ("What happens in 5 minutes?", "What happens in 5 hours?"),
    ("What is the first man's name?", "What is the third man's name?"),
    ("Name three rivers.", "Name thirty rivers."),
    (
        "Tell me about twenty five cats.",
        "Tell me about twenty cats and five dogs.",
    ),
    ("Who is Peter's father?", "Who is Peter's mother?"),
    (
        "Who is the father of Peter's friend?",
        "Who is the friend of Peter's father?",
    ),
    (
        "What did Ann's boss say about Bob?",
        "What did Bob's boss say about Ann?",
    ),
    ("Write a letter for Ann to Bob.", "Write a letter for Bob to Ann."),
    ("Give me a list of all users.", "Give me a list of users."),
    ("Fly from Lima via Oslo to Rome", "Fly from Oslo via Lima to Rome"),
    (
        "Write it in 5 lines with 3 rhymes.",
        "Write it in 3 lines with 5 rhymes.",
    ),
    ("Order by name, then by date.", "Order by date, then by name."),
    ("Is 3/4 more than 2/3?", "Is 2/3 more than 3/4?"),
    ("Fix `if (a) b()` please", "Fix `if (b) a()` please"),
    ("Set x to 3 and y to 4", "Set x to 4 and y to 3"),
    ("Set x = 3", "Set x = -3"),
    ("Is it open?", "Is it closed?"),
    ("Which plan includes support?", "Which plan excludes support?"),
    ("What's the temperature outside?", "What's the temperature inside?"),
    ("Is it better to rent or buy?", "Is it better to buy or sell?"),
    ("Explain the cause of inflation.", "Explain the effect of inflation."),
    ("How was the bill paid by Ann?", "How was Ann paid by the bill?"),
    ("Is A a subset of B?", "Is B a subset of A?"),
    (
        "What is the son of my brother called?",
        "What is the brother of my son called?",
    ),
];

/// What explain says of a candidate.
const REASONS: &[(&str, &str, Difference)] = &[
    ("What is 15% of 300?", "What is 16% of 300?", Difference::Number),
    (
        "Explain tides in six sentences.",
        "Explain tides in five sentences.",
        Difference::Number,
    ),
    ("How far is it in km?", "How far is it in miles?", Difference::Unit),
    ("What is 5 $ in yen?", "What is 5 € in yen?", Difference::Currency),
    ("Weather in Rome in May", "Weather in Rome in June", Difference::Date),
    (
        "Translate \"hi\" into Dutch.",
        "Translate \"hi\" into Thai.",
        Difference::Language,
    ),
    (
        "Translate \"hi\" into Dutch.",
        "Translate \"bye\" into Dutch.",
        Difference::Literal,
    ),
    (
        "Explain https://a.example/1",
        "Explain https://a.example/2",
        Difference::Literal,
    ),
    ("What does `f(x)` do?", "What does `f(y)` do?", Difference::Literal),
    (
        "Describe tea as a table.",
        "Describe tea as a poem.",
        Difference::Format,
    ),
    (
        "List clients with debts.",
        "List clients without debts.",
        Difference::Negation,
    ),
    (
        "Name the largest lake.",
        "Name the smallest lake.",
        Difference::Comparison,
    ),
    (
        "How do I enable the firewall?",
        "How do I disable the firewall?",
        Difference::Direction,
    ),
    (
        "Is Peru bigger than Chile?",
        "Is Chile bigger than Peru?",
        Difference::Direction,
    ),
    (
        "Flights from Oslo to Lima",
        "Flights from Lima to Oslo",
        Difference::Direction,
    ),
    ("Sales of all regions", "Sales of regions", Difference::Scope),
    ("Write to Olga.", "Write to Priya.", Difference::Name),
    ("Who invented it?", "When was it invented?", Difference::QuestionType),
    ("Who is the pope?", "Who was the pope?", Difference::Tense),
    ("What is a tort?", "What is a torte?", Difference::Wording),
];

#[test]
fn other_words_for_the_same_are_served() {
    let judge = Judge::new();
    for (before, now) in SAME {
        assert_eq!(judge.verdict(before, now), Ok(()), "{before} | {now}");
    }
}

#[test]
fn another_question_is_never_served() {
    let judge = Judge::new();
    let served = OTHER.iter().filter(|(before, now)| judge.verdict(before, now).is_ok());
    assert_eq!(served.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

#[test]
fn a_rejection_says_why() {
    let judge = Judge::new();
    for (before, now, why) in REASONS {
        assert_eq!(judge.verdict(before, now), Err(*why), "{before} | {now}");
        assert!(!why.name().is_empty());
    }
}

#[test]
fn a_long_prompt_is_served_only_when_it_is_equal() {
    let judge = Judge::new();
    let long = "a document of many words ".repeat(1000);
    assert_eq!(judge.verdict(&long, &format!("  {}", long.replace(' ', "\n"))), Ok(()));
    assert_eq!(judge.verdict(&long, &format!("please {long}")), Err(Difference::Length));
}

/// Sentences of words that mean something to the verifier.
fn sentence() -> impl Strategy<Value = String> {
    let words = "how can i what is the why was my France's capital Oslo from to 5 twenty one $ % may 20 March 1999 turn on off dark mode \
                 whom US it reset PIN , ? . \"quoted\" `code` a/b as bullet points who wrote which river longest convert mile not teh";
    let words: Vec<&'static str> = words.split_whitespace().collect();
    proptest::collection::vec(proptest::sample::select(words), 0..14).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sentences_are_judged_alike_both_ways(before in sentence(), now in sentence()) {
        let judge = judge_once();
        let _ = judge.verdict(&before, &now);
        prop_assert_eq!(judge.verdict(&before, &before.replace(' ', "  ")), Ok(()));
    }

    #[test]
    fn any_text_is_judged(before in any::<String>(), now in any::<String>()) {
        let judge = judge_once();
        let _ = judge.verdict(&before, &now);
        prop_assert_eq!(judge.verdict(&before, &before), Ok(()));
    }
}

/// Loaded once for all cases of a property.
fn judge_once() -> &'static Judge {
    static JUDGE: std::sync::LazyLock<Judge> = std::sync::LazyLock::new(Judge::new);
    &JUDGE
}
