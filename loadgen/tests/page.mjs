// Looks at pages in Chromium as people would: on a phone, a tablet and a desktop, in light and dark.
//
// page.mjs FILE...    (the working folder has node_modules/playwright-core; /usr/bin/chromium)
// Prints a line for each thing that is wrong, `FILE WIDTH SCHEME: what`, and `done` at the end.
import { createRequire } from 'node:module';

const { chromium } = createRequire(process.cwd() + '/')('playwright-core');

// Runs in the page; returns what is wrong.
const look = () => {
    const wrong = [];
    const visible = (element) => element.checkVisibility() && element.getClientRects().length > 0;
    const within = (element, selector) => element.closest(selector) !== null;

    // WCAG 2.2 §1.4.3: relative luminance, contrast.
    const parsed = (text) => text.match(/[\d.]+/g).map(Number);
    const luminance = ([red, green, blue]) => {
        const linear = [red, green, blue].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const ground = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
            const colour = parsed(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
            if (colour[3] !== 0) wrong.push(`a background that is half transparent: ${at.className}`);
        }
        return [255, 255, 255];
    };

    // Overflow.
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) wrong.push(`the page is ${document.documentElement.scrollWidth} wide of ${width}`);
    for (const element of document.body.querySelectorAll('*')) {
        if (!visible(element) || within(element, 'svg')) continue;
        const inBox = element.parentElement.closest('.scroll') !== null;
        if (!inBox && element.getBoundingClientRect().right > width + 0.5) wrong.push(`${element.tagName} reaches beyond the page`);
        if (!inBox && element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0 && !element.matches('.scroll')) wrong.push(`${element.tagName} overflows`);
    }

    // Text.
    let texts = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
        const element = node.parentElement;
        if (node.data.trim() === '' || !visible(element)) continue;
        texts += 1;
        const style = getComputedStyle(element);
        const found = contrast(parsed(within(element, 'svg') ? style.fill : style.color), ground(element));
        if (found < 4.5) wrong.push(`contrast ${found.toFixed(2)} of "${node.data.trim()}"`);
        const size = within(element, 'svg') ? parseFloat(style.fontSize) * element.getScreenCTM().a : parseFloat(style.fontSize);
        if (size < 10.5) wrong.push(`"${node.data.trim()}" is ${size.toFixed(1)} px high`);
    }
    if (texts < 50) wrong.push(`only ${texts} texts`);

    // Plots.
    const figures = [...document.querySelectorAll('figure')];
    if (figures.length !== 4) wrong.push(`${figures.length} plots of 4`);
    for (const figure of figures) {
        const title = figure.querySelector('figcaption').textContent;
        const shown = [...figure.querySelectorAll('svg')].filter(visible);
        if (shown.length !== 1) {
            wrong.push(`${title}: ${shown.length} drawings are shown`);
            continue;
        }
        const [svg] = shown;
        if (svg.getAttribute('role') !== 'img' || (svg.getAttribute('aria-label') ?? '').length < 20) wrong.push(`${title}: no accessible name`);
        const whole = svg.getBoundingClientRect();
        if (whole.width < 250 || whole.height < 150) wrong.push(`${title}: ${whole.width} x ${whole.height}`);
        const labels = [...svg.querySelectorAll('text')];
        if (labels.length < 5) wrong.push(`${title}: ${labels.length} labels`);
        const boxes = labels.map((label) => [label.textContent.trim(), label.getBoundingClientRect()]);
        for (const [at, [text, box]] of boxes.entries()) {
            if (box.left < whole.left || box.right > whole.right || box.top < whole.top || box.bottom > whole.bottom) wrong.push(`${title}: "${text}" is cut off`);
            for (const [other, next] of boxes.slice(at + 1)) {
                if (box.left < next.right && next.left < box.right && box.top < next.bottom && next.top < box.bottom) wrong.push(`${title}: "${text}" and "${other}" overlap`);
            }
        }
        const reports = document.querySelectorAll('.card').length;
        const lines = [...svg.querySelectorAll('polyline')].filter((line) => line.points.numberOfItems > 2);
        if (lines.length !== reports) wrong.push(`${title}: ${lines.length} lines of ${reports}`);
        const strokes = new Set(lines.map((line) => getComputedStyle(line).stroke));
        if (strokes.size !== lines.length) wrong.push(`${title}: lines of one colour`);
        for (const line of lines) {
            const box = line.getBoundingClientRect();
            if (box.width < whole.width / 4) wrong.push(`${title}: a line of ${box.width}`);
            const found = contrast(parsed(getComputedStyle(line).stroke), ground(svg.parentElement));
            // WCAG 2.2 §1.4.11.
            if (found < 3) wrong.push(`${title}: contrast ${found.toFixed(2)} of a line`);
        }
    }
    return wrong;
};

const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
    const page = await browser.newPage();
    let told;
    page.on('request', (request) => {
        if (!request.url().startsWith('file:')) told(`asks for ${request.url()}`);
    });
    page.on('console', (message) => told(`console: ${message.text()}`));
    for (const file of process.argv.slice(2)) {
        for (const width of [390, 768, 1280]) {
            for (const colorScheme of ['light', 'dark']) {
                told = (what) => console.log(`${file} ${width} ${colorScheme}: ${what}`);
                await page.setViewportSize({ width, height: 900 });
                await page.emulateMedia({ colorScheme });
                await page.goto(`file://${file}`);
                for (const what of await page.evaluate(look)) told(what);
            }
        }
    }
} finally {
    await browser.close();
}
console.log('done');
